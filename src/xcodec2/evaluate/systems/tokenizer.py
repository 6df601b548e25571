"""Any speech tokenizer as a system: models of this package, exported ones, and one's own."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, at_16_khz
from xcodec2.evaluate.systems.system import Decoded, System
from xcodec2.tokenizer import SpeechTokenizer, as_array

MAX_ONE_HOT = 4096  # entries of a codebook whose codes probes are given one by one


class TokenizerSystem:
    """A speech tokenizer, there and back.

    What concerns codes themselves is measured of tokenizers of one codebook; of others, bits are.

    Args:
        name: For tables.
        tokenizer: What encodes and decodes.
        implementation: What it is, with versions.
        key: What its results depend on, such as a digest of its weights: old results of the same
            key are taken for its own.
    """

    def __init__(
        self,
        name: str,
        tokenizer: SpeechTokenizer,
        *,
        implementation: str = "a speech tokenizer made in Python",
        key: str | None = None,
    ) -> None:
        self.name, self.tokenizer, self.implementation = name, tokenizer, implementation
        self.key = key or f"tokenizer:{name}"
        self.bits_per_code = math.log2(tokenizer.codebook_size)

    def codes(self, waveform: np.ndarray) -> np.ndarray:
        """(N,) at 16 kHz → (T,) integers. Raises XCodec2Error for several codebooks."""
        codes = as_array(self.tokenizer.encode(waveform, SAMPLE_RATE))
        if codes.ndim != 1:
            raise XCodec2Error(f"codes of one codebook are wanted, not of shape {codes.shape}")
        return codes

    def features(self, codes: np.ndarray) -> np.ndarray | None:
        """What linear probes are given of codes.

        Args:
            codes: (T,).

        Returns:
            (T, F) float32: each code's digits, one-hot, for a scalar quantizer; the code itself,
            one-hot, for a small codebook; None for a large one without digits.
        """
        import torch

        from xcodec2.codec.quantizer import codes_to_digits

        whole = torch.from_numpy(np.ascontiguousarray(codes))
        levels = getattr(getattr(self.tokenizer, "config", None), "levels", None)
        if levels is not None:
            digits = codes_to_digits(whole, levels)
        elif self.tokenizer.codebook_size <= MAX_ONE_HOT:
            digits, levels = whole[:, None], [self.tokenizer.codebook_size]
        else:
            return None
        parts = [
            torch.nn.functional.one_hot(digits[:, k].long(), level)
            for k, level in enumerate(levels)
        ]
        return torch.cat(parts, dim=1).float().numpy()

    def vectors(self, codes: np.ndarray) -> np.ndarray | None:
        """What the quantizer puts in the place of codes, for distances between them.

        Args:
            codes: (T,).

        Returns:
            (T, D) float32: a scalar quantizer's digits, -1 to 1; rows of the tokenizer's
            `codebook`, (codebook_size, D), where it has one; None of others.
        """
        import torch

        from xcodec2.codec.quantizer import codes_to_digits

        levels = getattr(getattr(self.tokenizer, "config", None), "levels", None)
        if levels is not None:
            digits = codes_to_digits(torch.from_numpy(np.ascontiguousarray(codes)), levels)
            half = (np.array(levels) - 1) / 2
            return ((digits.numpy() - half) / half).astype(np.float32)
        codebook = getattr(self.tokenizer, "codebook", None)
        if codebook is None:
            return None
        return np.asarray(as_array(codebook)[codes], np.float32)

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz → what it is decoded to, with its codes."""
        encoded = self.tokenizer.encode(waveform, SAMPLE_RATE)
        return self.decoded(as_array(encoded), as_array(self.tokenizer.decode(encoded)))

    def only_encoded(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz → its codes, and no speech: for those who need no more."""
        codes = as_array(self.tokenizer.encode(waveform, SAMPLE_RATE))
        return self.decoded(codes, np.zeros(0, np.float32))

    def decoded(self, codes: np.ndarray, speech: np.ndarray) -> Decoded:
        """(T,) or (codebooks, T) codes, and (M,) speech at the tokenizer's rate."""
        bits = codes.size * self.bits_per_code
        single = codes if codes.ndim == 1 else None
        books, size = np.atleast_2d(codes), self.tokenizer.codebook_size
        return Decoded(speech, self.tokenizer.sample_rate, bits, single, books, size)

    def speak(self, coded: np.ndarray) -> np.ndarray:
        """(codebooks, T) integers → (M,) float32 at 16 kHz."""
        codes = coded[0] if len(coded) == 1 else coded
        decoded = as_array(self.tokenizer.decode(codes)).reshape(-1)
        return at_16_khz(decoded, self.tokenizer.sample_rate)


def model_names(sources: Sequence[str]) -> list[str]:
    """What models are called: `runs/a/model` and `runs/b/model` are `a/model` and `b/model`.

    Args:
        sources: As `model_system` takes them.

    Returns:
        The last part of each path, or as many more as tell it from the others; what is no path, as
        it is.
    """
    paths = [Path(os.path.abspath(one)).parts if Path(one).exists() else (one,) for one in sources]
    names = []
    for own in paths:
        others, taken = [path for path in paths if path != own], 1
        while taken < len(own) and any(path[-taken:] == own[-taken:] for path in others):
            taken += 1
        names.append(str(Path(*own[-taken:])) if len(own) > 1 else own[0])
    return names


def model_system(source: str, device: str = "cpu", name: str | None = None) -> System:
    """The system of `--model SOURCE`.

    Args:
        source: As `XCodec2Model.from_pretrained` takes it, or a folder that
            `xcodec2 export --to onnx` has written.
        device: For the former.
        name: For tables; None takes the last part of its path.

    Returns:
        The system, loaded.

    Raises:
        XCodec2Error: It cannot be loaded.
    """
    from xcodec2 import XCodec2Model, __version__

    name = name or model_names([source])[0]
    if (Path(source) / "encoder.onnx").is_file():
        from xcodec2.onnx import OnnxCodec

        digest = hashlib.sha256()
        for part in sorted(Path(source).glob("*.onnx*")):
            digest.update(part.read_bytes())
        tokenizer: Any = OnnxCodec(source, threads=1)
        key = f"onnx:{digest.hexdigest()}"
    else:
        tokenizer = XCodec2Model.from_pretrained(source, device=device).eval()
        key = f"xcodec2:{all_weights(tokenizer)}"
    described = f"{source}, {key.partition(':')[2][:16]}, open-xcodec2 {__version__}"
    return TokenizerSystem(name, tokenizer, implementation=described, key=key)


def all_weights(model: Any) -> str:
    """A digest over every weight of a module.

    `weights_hash` leaves the decoder out, which is evaluated here.

    Args:
        model: A torch module.

    Returns:
        SHA-256, in hexadecimal digits.
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key}{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().float().contiguous().numpy().data)
    return digest.hexdigest()
