"""What is evaluated: anything that turns a waveform into another one that should sound the same.

A system has a `name` for tables, an `implementation` (what it is, with versions), a `key` (what its
results depend on, for the resume of an interrupted run), and gives for speech (N,) float32 at 16
kHz what comes back.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from xcodec2.errors import XCodec2Error

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Heard:
    """What a system gave back: (N,) float32 at `sample_rate`; the bits it took, and its codes,
    where it has some.
    """

    waveform: np.ndarray
    sample_rate: int = SAMPLE_RATE
    bits: float | None = None
    codes: np.ndarray | None = None


class System(Protocol):
    """Something to evaluate."""

    name: str
    implementation: str
    key: str

    def __call__(self, waveform: np.ndarray) -> Heard: ...


class CodecSystem:
    """A model of this package."""

    def __init__(self, source: str, device: str = "cpu") -> None:
        from xcodec2 import XCodec2Model, __version__

        self.model = XCodec2Model.from_pretrained(source, device=device).eval()
        self.name = Path(source).name if Path(source).exists() else source
        self.key = f"xcodec2:{all_weights(self.model)}"
        self.implementation = (
            f"{source}, {self.key.removeprefix('xcodec2:')[:16]}, open-xcodec2 {__version__}"
        )
        self.bits_per_code = math.log2(self.model.codebook_size)

    def codes(self, waveform: np.ndarray) -> np.ndarray:
        """(N,) at 16 kHz → (T,)."""
        return self.model.encode(waveform, SAMPLE_RATE).codes.cpu().numpy()

    def digits(self, codes: np.ndarray) -> np.ndarray:
        """(T,) codes → (T, sum of levels) float32: the digits of each code, one-hot; what probes
        are given.
        """
        import torch

        from xcodec2.codec.quantizer import codes_to_digits

        levels = self.model.config.levels
        digits = codes_to_digits(torch.from_numpy(np.ascontiguousarray(codes)), levels)
        parts = [torch.nn.functional.one_hot(digits[:, k], level) for k, level in enumerate(levels)]
        return torch.cat(parts, dim=1).float().numpy()

    def __call__(self, waveform: np.ndarray) -> Heard:
        encoded = self.model.encode(waveform, SAMPLE_RATE)
        heard = self.model.decode(encoded).cpu().numpy()
        codes = encoded.codes.cpu().numpy()
        return Heard(heard, self.model.sample_rate, len(codes) * self.bits_per_code, codes)


class FunctionSystem:
    """Any callable, (N,) float32 at 16 kHz → (N,) float32 at `sample_rate`.

    Its code cannot be told by a digest: give another `version` when it changes, or old results are
    taken for its own.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[np.ndarray], Any],
        *,
        sample_rate: int = SAMPLE_RATE,
        bit_rate: float | None = None,
        version: str = "1",
    ) -> None:
        self.name, self.function, self.sample_rate, self.bit_rate = (
            name,
            function,
            sample_rate,
            bit_rate,
        )
        self.implementation = f"a Python function, version {version}"
        self.key = f"function:{name}:{version}"

    def __call__(self, waveform: np.ndarray) -> Heard:
        heard = np.asarray(self.function(waveform.copy()), dtype=np.float32)
        bits = None if self.bit_rate is None else self.bit_rate * len(waveform) / SAMPLE_RATE
        return Heard(heard, self.sample_rate, bits)


def all_weights(model: Any) -> str:
    """A digest over every weight; `weights_hash` leaves the decoder out, whose sound is judged
    here.
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key}{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


def model_system(source: str, device: str = "cpu") -> System:
    """The system of `--model SOURCE`."""
    return CodecSystem(source, device)


def baseline(name: str) -> System:
    """The system of `--baseline NAME`. Raises XCodec2Error for an unknown name or a program that is
    not installed.

    `original`, `mulaw`, `opus@RATE`, `speex@RATE`, `codec2@MODE` (rates such as `6k` or `6000`,
    bits a second), or `hub:ID[@RATE]` for EnCodec, DAC, Mimi, X-Codec and XCodec2 as transformers
    has them.
    """
    from xcodec2.evaluate import baselines

    kind, _, setting = name.partition("@")
    if kind.startswith("hub:"):
        from xcodec2.evaluate.neural import HubCodec

        return HubCodec(kind.removeprefix("hub:"), bit_rate(setting) if setting else None)
    if kind in ("original", "mulaw") and not setting:
        return baselines.Original() if kind == "original" else baselines.MuLaw()
    if kind == "codec2" and setting:
        return baselines.Codec2(setting)
    if kind in ("opus", "speex") and setting:
        return (baselines.Opus if kind == "opus" else baselines.Speex)(bit_rate(setting))
    raise XCodec2Error(
        f"no baseline {name!r}; there are original, mulaw, opus@RATE, speex@RATE, codec2@MODE and hub:ID[@RATE], "
        "such as opus@6k and codec2@1600"
    )


def bit_rate(text: str) -> int:
    """`6k`, `1.5k` or `6000` as bits a second."""
    try:
        value = float(text[:-1]) * 1000 if text.endswith("k") else float(text)
        if not 100 <= value <= 1_000_000:
            raise ValueError
    except ValueError as problem:
        raise XCodec2Error(f"{text!r} is no bit rate: write 6k or 6000, bits a second") from problem
    return round(value)
