"""Neural codecs of transformers as baselines: EnCodec, DAC, Mimi, X-Codec and XCodec2, by Hub id or
folder.
"""

from __future__ import annotations

import inspect
import math
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import soxr

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, at_16_khz
from xcodec2.evaluate.systems.system import Decoded
from xcodec2.evaluate.systems.tokenizer import all_weights
from xcodec2.extras import require

KINDS = ("encodec", "dac", "mimi", "xcodec", "xcodec2")
# Whose encoders take kbit/s; the others take a number of codebooks.
BANDWIDTHS = ("encodec", "xcodec")


@dataclass(frozen=True)
class HubCodes:
    """Codes of a codec of transformers.

    Attributes:
        codes: (codebooks, T) integers, of all codebooks and chunks.
        encoded: What the model's `encode` gave; EnCodec's `decode` also needs its scales.
        num_samples: Of the audio, at the codec's rate.
    """

    codes: np.ndarray
    encoded: Any
    num_samples: int


class HubCodec:
    """A codec of transformers as a speech tokenizer.

    Args:
        source: A Hub id or a folder.
        bit_rate: Bits a second, for codecs of several codebooks; all codebooks when it is None.

    Raises:
        XCodec2Error: It cannot be loaded, or is of no known kind.
    """

    def __init__(self, source: str, bit_rate: int | None = None) -> None:
        transformers = require("transformers", extra="llasa", purpose="a codec from the Hub")
        try:
            with float32_parameters("cpu"):
                self.model = transformers.AutoModel.from_pretrained(source).eval()
        except (OSError, ValueError, KeyError) as error:
            raise XCodec2Error(
                f"{source}: cannot be loaded ({str(error).splitlines()[0]})"
            ) from error
        self.kind = str(self.model.config.model_type)
        if self.kind not in KINDS:
            raise XCodec2Error(
                f"{source}: is a {self.kind!r} model; the codecs known are {', '.join(KINDS)}"
            )
        self.bit_rate = bit_rate
        commit = getattr(self.model.config, "_commit_hash", None)
        at = f" at {commit[:8]}" if commit else ""
        self.name = source + (f"@{bit_rate / 1000:g}k" if bit_rate else "")
        self.implementation = f"{source}{at}, transformers {transformers.__version__}"
        self.key = f"hub:{self.name}:{commit or all_weights(self.model)}"
        self.sample_rate = int(getattr(self.model.config, "sampling_rate", None) or SAMPLE_RATE)
        self.extractor = (
            transformers.AutoFeatureExtractor.from_pretrained(source)
            if self.kind == "xcodec2"
            else None
        )

    @property
    def frame_rate(self) -> float:
        """Codes a second, of each codebook."""
        config = self.model.config
        if self.kind == "dac":  # whose configuration rounds it up
            return self.sample_rate / math.prod(config.upsampling_ratios)
        # Mimi's ratios leave out the last halving.
        return float(getattr(config, "frame_rate", None) or self.sample_rate / config.hop_length)

    @property
    def codebook_size(self) -> int:
        """Entries of each codebook."""
        config = self.model.config
        levels = math.prod(getattr(config, "quantization_levels", None) or [65_536])
        return int(getattr(config, "codebook_size", None) or levels)

    @float32_parameters("cpu")
    def encode(self, audio: np.ndarray, sample_rate: int) -> HubCodes:
        """(N,) floats at any rate → codes."""
        import torch

        audio = soxr.resample(audio, sample_rate, self.sample_rate, quality="VHQ")
        inputs: dict[str, Any] = {
            "input_values": torch.from_numpy(np.ascontiguousarray(audio, np.float32))[None, None]
        }
        if self.extractor is not None:
            inputs = self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.inference_mode():
            encoded = self.model.encode(**inputs, **self.options())
        codes = encoded.audio_codes.cpu().numpy()
        return HubCodes(codes.reshape(-1, codes.shape[-1]), encoded, len(audio))

    @float32_parameters("cpu")
    def decode(self, codes: HubCodes) -> np.ndarray:
        """Codes → (M,) float32 at `sample_rate`, as long as what was encoded."""
        import torch

        with torch.inference_mode():
            if self.kind == "encodec":
                both = codes.encoded.audio_codes, codes.encoded.audio_scales
                decoded = self.model.decode(*both)[0]
            else:
                decoded = self.model.decode(audio_codes=codes.encoded.audio_codes)[0]
        waveform: np.ndarray = decoded.reshape(-1).numpy()[: codes.num_samples]
        return waveform

    def options(self) -> dict[str, Any]:
        """What asks the encoder for the bit rate.

        Raises:
            XCodec2Error: A bit rate was asked for, and the codec has only one.
        """
        if self.kind in BANDWIDTHS:  # which take the lowest of their rates when none is named
            highest = max(self.model.config.target_bandwidths)
            return {"bandwidth": highest if self.bit_rate is None else self.bit_rate / 1000}
        if self.bit_rate is None:
            return {}
        names = inspect.signature(self.model.encode).parameters
        name = next((n for n in ("num_quantizers", "n_quantizers") if n in names), None)
        if name is None:
            raise XCodec2Error(f"{self.name}: this codec has one bit rate; leave @RATE out")
        bits_a_codebook = self.frame_rate * math.log2(self.codebook_size)
        return {name: max(1, round(self.bit_rate / bits_a_codebook))}


class HubSystem:
    """The system of `--baseline hub:ID[@RATE]`; its bits are those of all its codes.

    Args:
        source: As `HubCodec` takes it.
        bit_rate: As `HubCodec` takes it.
    """

    def __init__(self, source: str, bit_rate: int | None = None) -> None:
        self.codec = HubCodec(source, bit_rate)
        self.name, self.key = self.codec.name, self.codec.key
        self.implementation = self.codec.implementation

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz → what it is decoded to."""
        encoded = self.codec.encode(waveform, SAMPLE_RATE)
        bits = encoded.codes.size * math.log2(self.codec.codebook_size)
        decoded, size = self.codec.decode(encoded), self.codec.codebook_size
        return Decoded(
            decoded, self.codec.sample_rate, bits, tokens=encoded.codes, codebook_size=size
        )

    def speak(self, coded: np.ndarray) -> np.ndarray:
        """(codebooks, T) integers → (M,) float32 at 16 kHz; EnCodec's scales are taken as 1."""
        import torch

        codes = torch.from_numpy(np.ascontiguousarray(coded))[None]
        if self.codec.kind == "encodec":
            codes = codes[None]
        encoded = SimpleNamespace(audio_codes=codes, audio_scales=[None])
        decoded = self.codec.decode(HubCodes(coded, encoded, sys.maxsize))
        return at_16_khz(decoded, self.codec.sample_rate)
