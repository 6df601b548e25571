"""Neural codecs of transformers as baselines: EnCodec, DAC, Mimi, X-Codec and XCodec2, by Hub id or
folder.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import soxr

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.systems import SAMPLE_RATE, Heard
from xcodec2.extras import require

KINDS = ("encodec", "dac", "mimi", "xcodec", "xcodec2")
BANDWIDTHS = (
    "encodec",
    "xcodec",
)  # whose encoders take kbit/s; the others take a number of codebooks


class HubCodec:
    """bit_rate: bits a second, for codecs of several codebooks; all codebooks when it is None."""

    def __init__(self, source: str, bit_rate: int | None = None) -> None:
        transformers = require("transformers", extra="llasa", purpose="a codec from the Hub")
        try:
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
        self.key = f"hub:{self.name}:{commit or self.digest()}"
        self.sample_rate = int(getattr(self.model.config, "sampling_rate", None) or SAMPLE_RATE)
        self.extractor = (
            transformers.AutoFeatureExtractor.from_pretrained(source)
            if self.kind == "xcodec2"
            else None
        )

    def digest(self) -> str:
        from xcodec2.evaluate.systems import all_weights

        return all_weights(self.model)

    def __call__(self, waveform: np.ndarray) -> Heard:
        import torch

        audio = soxr.resample(waveform, SAMPLE_RATE, self.sample_rate, quality="VHQ")
        inputs: dict[str, Any] = {
            "input_values": torch.from_numpy(np.ascontiguousarray(audio, np.float32))[None, None]
        }
        if self.extractor is not None:
            inputs = self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.inference_mode():
            encoded = self.model.encode(**inputs, **self.options())
            codes = encoded.audio_codes
            heard = self.decoded(encoded)
        samples = heard.reshape(-1).numpy()[: len(audio)]
        return Heard(samples, self.sample_rate, codes.numel() * self.bits_per_code())

    def options(self) -> dict[str, Any]:
        """What asks the encoder for the bit rate."""
        if self.kind in BANDWIDTHS:  # which take the lowest of their rates when none is named
            most = max(self.model.config.target_bandwidths)
            return {"bandwidth": most if self.bit_rate is None else self.bit_rate / 1000}
        if self.bit_rate is None:
            return {}
        names = inspect.signature(self.model.encode).parameters
        name = next((n for n in ("num_quantizers", "n_quantizers") if n in names), None)
        if name is None:
            raise XCodec2Error(f"{self.name}: this codec has one bit rate; leave @RATE out")
        config = self.model.config
        # DAC's configuration rounds its frame rate up; Mimi's ratios leave out the last halving.
        exact = self.kind == "dac"
        frame_rate = (
            self.sample_rate / math.prod(config.upsampling_ratios)
            if exact
            else float(config.frame_rate)
        )
        return {name: max(1, round(self.bit_rate / (frame_rate * self.bits_per_code())))}

    def decoded(self, encoded: Any) -> Any:
        """The waveform of what `encode` gave; EnCodec also needs its scales."""
        if self.kind == "encodec":
            return self.model.decode(encoded.audio_codes, encoded.audio_scales)[0]
        return self.model.decode(audio_codes=encoded.audio_codes)[0]

    def bits_per_code(self) -> float:
        config = self.model.config
        size = (
            getattr(config, "codebook_size", None)
            or math.prod(getattr(config, "quantization_levels", []))
            or 65_536
        )
        return math.log2(size)
