"""The codec as it is trained: with the decoder that rebuilds the semantic encoder's output from the
quantized vector.

B batch, N samples, T frames, K numbers that are quantized.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.checkpoints.load import read_checkpoint
from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.kernels.convolution import FrameConv1d
from xcodec2.codec.quantizer import bound_twice
from xcodec2.codec.semantic import SemanticAdapter
from xcodec2.errors import TrainingError
from xcodec2.model import XCodec2Model
from xcodec2.train.recipe import Recipe
from xcodec2.train.recognizer import Readout

CHANGEABLE = ("sample_rate", "dropout", "attention_window", "convolutions_ahead")
ENCODER = ("semantic_encoder", "semantic_adapter", "acoustic_encoder", "fc_encoder", "quantizer")
QUIETER = 4.0  # of the log-magnitudes at a random start
DISTURBED_SHARE = 0.6  # of the speech, in each of three ways
LOWEST_EDGE, EDGE_WIDTH = 0.88, 0.04  # of a resampler's low-pass, relative to half the rate
STOPPED = 2e-3  # what it leaves of an amplitude
SOFTEST_DB = 12.0  # of the speech whose codes should be the same
MIN_SNR_DB, SNR_RANGE_DB = 25.0, 20.0
SHORT_MAGNITUDES = 1e-3  # of the weights of bins that a wider head has new


@dataclass(frozen=True)
class Output:
    """What one pass gives; None is what no loss of the recipe needs."""

    waveform: Tensor  # (B, N)
    projected: Tensor  # (B, T, K), before the bound
    semantic: Tensor | None = None  # (B, T, D) of the semantic encoder
    rebuilt: Tensor | None = None  # (B, T, D): the same, from the quantized vectors
    hidden: Tensor | None = None  # (B, T, width) of the decoder's last block
    guide: Tensor | None = None  # (B, T, width): the same, of what was not rounded
    taught: Tensor | None = None  # (B, T, D) read out of the semantic branch
    meaning: Tensor | None = None  # (B, T, D) read out of the quantized vectors
    # (b, T, K): `projected` of the first speech of the batch, softer and with a little noise
    twin: Tensor | None = None


class SemanticDecoder(nn.Module):
    """The adapter's shape, backwards: from the quantized vector to the semantic encoder's output.

    Args:
        config: Of the codec, for its widths.
    """

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.fc = nn.Linear(config.latent_width, config.semantic_width)
        self.convolutions = SemanticAdapter(config)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, T, latent width) → (B, T, semantic width)."""
        return self.convolutions(self.fc(vectors)).transpose(1, 2)


class Generator(nn.Module):
    """One forward for all that the losses need, so that it can be wrapped for several processes.

    Args:
        codec: Is trained.
        recipe: Its losses say what else is made, and what is frozen.
    """

    def __init__(self, codec: XCodec2Model, recipe: Recipe) -> None:
        super().__init__()
        self.codec = codec
        used, config, frozen = recipe.losses.used(), codec.config, recipe.start.frozen
        self.semantic_decoder = SemanticDecoder(config) if "semantic" in used else None
        self.taught = Readout(config.semantic_width, reach=1) if "taught" in used else None
        self.meaning = Readout(config.latent_width, reach=0) if "meaning" in used else None
        self.guidance, self.twin = "self_guidance" in used, "consistency" in used
        self.frozen, self.drop_acoustic = frozen, recipe.drop_acoustic
        self.twin_share = recipe.consistency_share
        for name in frozen:
            codec.get_submodule(name).requires_grad_(False)

    def forward(self, inputs: Tensor, samples: int) -> Output:
        """Encode and decode.

        Args:
            inputs: (B, N) at the codec's input rate.
            samples: Length of the reconstructions, at its output rate.
        """
        codec = self.codec
        with torch.set_grad_enabled(not set(ENCODER) <= set(self.frozen)):
            gate = None
            if self.drop_acoustic and self.training:
                gate = (
                    torch.rand(len(inputs), 1, 1, device=inputs.device, dtype=torch.float32)
                    >= self.drop_acoustic
                )
            encoded = codec.encode_features(codec.pad(inputs), acoustic_gate=gate)
            vectors = codec.quantize(encoded.latent).vectors
            # once more, for a sum of gradients that rounds as it did in runs of before
            projected = codec.quantizer.project(encoded.latent.float())
            twin = None
            if self.twin:
                count = max(1, round(self.twin_share * len(inputs)))
                disturbed_inputs = codec.pad(disturbed(inputs[:count]))
                same_gate = None if gate is None else gate[:count]
                latent = codec.encode_features(disturbed_inputs, acoustic_gate=same_gate).latent
                twin = codec.quantizer.project(latent.float())
        decoded = codec.decode_vectors(vectors)
        guide = None
        if self.guidance:
            with torch.no_grad():  # the decoder's view of what was not rounded
                guide = codec.decode_vectors(codec.quantizer.unrounded(projected)).hidden
        rebuilt = self.semantic_decoder(vectors) if self.semantic_decoder else None
        return Output(
            waveform=decoded.waveform[:, :samples],
            projected=projected,
            semantic=encoded.semantic.detach() if rebuilt is not None else None,
            rebuilt=rebuilt,
            hidden=decoded.hidden if self.guidance else None,
            guide=guide,
            taught=self.taught(encoded.adapted) if self.taught else None,
            meaning=self.meaning(vectors.transpose(1, 2)) if self.meaning else None,
            twin=twin,
        )

    def train(self, mode: bool = True) -> Generator:
        """As `nn.Module.train`, for all that learns."""
        super().train(mode)
        for name in self.frozen:  # no dropout in what does not learn
            self.codec.get_submodule(name).eval()
        return self


def starting_codec(recipe: Recipe) -> XCodec2Model:
    """The codec before its first step: random, or a checkpoint's weights in a model of the recipe's
    sizes.

    Raises:
        TrainingError: The weights do not fit, or the recipe names a part that the codec lacks.
    """
    start = recipe.start
    if not start.checkpoint:
        codec = XCodec2Model(XCodec2Config.from_dict(recipe.model))
        quiet_start(codec)
    else:
        source = XCodec2Model.from_pretrained(start.checkpoint)
        config = XCodec2Config.from_dict(source.config.to_dict() | recipe.model)
        codec = source if config == source.config else changed_codec(source, config)
    if start.semantic_encoder:
        load_semantic_encoder(codec, start.semantic_encoder)
    parts = dict(codec.named_modules())
    for key, names in (("frozen", start.frozen), ("fresh", start.fresh)):
        for name in names:
            if not name or name not in parts:
                there = ", ".join(part for part, _ in codec.named_children())
                raise TrainingError(
                    f"recipe.start.{key}: no part {name!r}; there are {there}, and parts of them "
                    'as "acoustic_decoder.head"'
                )
    for name in start.fresh:
        begin_anew(parts[name])
    return codec.train()


def begin_anew(part: nn.Module) -> None:
    """Random weights. An adapter's last layer gives nothing yet, so that what is there already is
    not disturbed.

    nano's adapter needs it: its first activation gives 0 for all that it hears, and no gradient
    comes through that.
    """
    for module in part.modules():
        if isinstance(
            module, (nn.Linear, nn.Conv1d, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.Embedding)
        ):
            module.reset_parameters()
    if isinstance(part, SemanticAdapter):
        nn.init.zeros_(part.conv4.weight)


def quiet_start(codec: XCodec2Model) -> None:
    """Begin with speech's level and phases all around the circle; from PyTorch's own start, 100
    steps go on that.
    """
    head = codec.acoustic_decoder.head.linear
    bins = head.out_features // 2
    with torch.no_grad():
        head.bias[:bins] -= QUIETER
        head.weight[bins:] *= 4


def changed_codec(source: XCodec2Model, config: XCodec2Config) -> XCodec2Model:
    """The same weights with another receptive field, or with a head for another output rate.

    A window always lasts four frames, so bins lie equally far apart at every rate: the old bins
    stay where they are and only those above the old half rate are new. Magnitudes grow with the
    number of samples in a window.

    Args:
        source: The codec, which is left as it is.
        config: Its own, but for the fields that may change.

    Raises:
        TrainingError: Another field differs.
    """
    kept_fields = {name: getattr(source.config, name) for name in CHANGEABLE}
    if replace(config, **kept_fields) != source.config:
        raise TrainingError(
            f"recipe.model: with a start only {', '.join(CHANGEABLE)} may change; everything else "
            "comes from it"
        )
    codec = XCodec2Model(config)
    if config.sample_rate == source.config.sample_rate:
        codec.load_state_dict(source.state_dict())
        keep_taps_in_place(codec, source)
        return codec
    old, new = source.acoustic_decoder.head.linear, codec.acoustic_decoder.head.linear
    state = source.state_dict()
    kept = min(old.out_features, new.out_features) // 2
    with torch.no_grad():
        weight, bias = new.weight * SHORT_MAGNITUDES, torch.zeros_like(new.bias)
        half_old, half_new = old.out_features // 2, new.out_features // 2
        bias[:half_new] = old.bias[:half_old].min()  # what is new starts silent
        for row in (0, 1):  # magnitudes, then phases
            weight[row * half_new :][:kept] = old.weight[row * half_old :][:kept]
            bias[row * half_new :][:kept] = old.bias[row * half_old :][:kept]
        bias[:half_new] += math.log(config.output_hop / source.config.output_hop)
    head = "acoustic_decoder.head.linear"
    codec.load_state_dict(state | {f"{head}.weight": weight, f"{head}.bias": bias})
    return codec


def keep_taps_in_place(codec: XCodec2Model, source: XCodec2Model) -> None:
    """Let each convolution that looks less far ahead than the source's still weigh every frame as
    it did.

    It loses the frames that it sees no more. With its weights where they were it would say the same
    later, and beside what was not delayed nothing is understood: nano's STOI falls from .86 to .48,
    and so to .79.
    """
    for name, old in source.named_modules():
        if isinstance(old, FrameConv1d):
            new = codec.get_submodule(name)
            assert isinstance(new, FrameConv1d)
            with torch.no_grad():
                new.weight.copy_(moved_taps(old.weight, old.sides[1] - new.sides[1]))


def moved_taps(weight: Tensor, frames: int) -> Tensor:
    """(…, K) moved that many taps toward the end, or the beginning where negative; zeros follow."""
    if abs(frames) >= weight.shape[-1]:
        return torch.zeros_like(weight)
    return F.pad(weight, (frames, -frames))


def load_semantic_encoder(codec: XCodec2Model, name: str) -> None:
    """Put another checkpoint's semantic encoder into a codec.

    Args:
        codec: Is changed.
        name: Anything that `from_pretrained` takes.

    Raises:
        TrainingError: Its sizes are others.
    """
    tensors = read_checkpoint(name).tensors
    prefix = "semantic_encoder."
    state = {
        key.removeprefix(prefix): tensor.float()
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
    try:
        codec.semantic_encoder.load_state_dict(state)
    except RuntimeError as problem:
        raise TrainingError(
            f"{name}: its semantic encoder does not fit ({str(problem).splitlines()[-1].strip()})"
        ) from problem


def disturbed(inputs: Tensor) -> Tensor:
    """(B, N) at another level, with white noise, and without the highest frequencies, as a
    resampler leaves it; each is drawn for each row, and most rows have some of them.
    """
    size = (6, len(inputs), 1)
    level, quiet, edge, *chances = torch.rand(
        size, device=inputs.device, dtype=torch.float32
    ).unbind()
    softer, noisy, narrower = (chance < DISTURBED_SHARE for chance in chances)
    spectrum = torch.fft.rfft(inputs.float())
    place = torch.linspace(0, 1, spectrum.shape[-1], device=inputs.device, dtype=torch.float32)
    passed = ((LOWEST_EDGE + (1 - LOWEST_EDGE) * edge - place) / EDGE_WIDTH + 1).clamp(STOPPED, 1)
    band = torch.fft.irfft(spectrum * torch.where(narrower, passed, 1.0), inputs.shape[-1])
    power = inputs.square().mean(-1, keepdim=True).sqrt() * noisy
    noise = torch.randn_like(inputs) * power * 10 ** (-(MIN_SNR_DB + quiet * SNR_RANGE_DB) / 20)
    return (band + noise) * 10 ** (-level * softer * SOFTEST_DB / 20)


def consistency_error(output: Output, levels: tuple[int, ...]) -> Tensor:
    """How far what is rounded lies from the levels that it has undisturbed, squared, in steps.

    Level, noise and band then move it less, and what lies in the middle of its step stays there.
    """
    assert output.twin is not None
    undisturbed = output.projected[: len(output.twin)].detach()
    return F.mse_loss(bound_twice(output.twin, levels), bound_twice(undisturbed, levels).round())


def semantic_error(output: Output) -> Tensor:
    """Mean squared error of the semantic encoder's output as it is rebuilt from the codes."""
    assert output.rebuilt is not None
    assert output.semantic is not None
    return F.mse_loss(output.rebuilt.float(), output.semantic.float())


def guidance_error(output: Output) -> Tensor:
    """‖sg(h_e) - h_q‖² at the decoder's last block: what quantization took away there."""
    assert output.hidden is not None
    assert output.guide is not None
    return F.mse_loss(output.hidden.float(), output.guide.float())
