"""Every architecture number of the codec, in one place.

The defaults are the published XCodec2; NeuCodec and the small models differ in values only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from xcodec2.errors import CheckpointError

FEATURE_RATE = 16_000  # Hz of the audio that features are computed on
FEATURE_HOP = 160  # samples between two fbank frames: 10 ms at 16 kHz
FEATURE_WINDOW = 400  # samples under one fbank frame: 25 ms
MEL_BINS = 80


@dataclass(frozen=True)
class XCodec2Config:
    """Sizes and rates of one codec; a checkpoint carries it whole.

    ``acoustic_encoder`` chooses what the acoustic branch listens to: ``"waveform"`` is the
    published convolutional encoder, ``"spectrogram"`` a cheaper one on log spectra that small
    models learn from at once.
    """

    # rates
    input_rate: int = 16_000  # Hz, what the encoder takes
    sample_rate: int = 16_000  # Hz, what the decoder makes (NeuCodec: 24 000)

    # semantic branch: w2v-BERT 2.0 up to the layer that is used, then the adapter
    semantic_width: int = 1024
    semantic_layers: int = 16
    semantic_heads: int = 16
    semantic_ffn: int = 4096
    semantic_conv_kernel: int = 31
    attention_left: int = 64  # key distances are clamped to -left … right, in frames
    attention_right: int = 8
    feature_padding: int = 160  # zeros on each side before the fbank (NeuCodec: 0)

    # acoustic branch
    acoustic_encoder: Literal["waveform", "spectrogram"] = "waveform"
    acoustic_channels: int = 48  # of the first convolution, doubled by each stride
    strides: tuple[int, ...] = (2, 2, 4, 4, 5)
    spectrogram_layers: int = 0  # ConvNeXt blocks, in the spectrogram encoder only

    # quantizer
    levels: tuple[int, ...] = (4,) * 8

    # decoder; its width is also what the acoustic encoder gives
    width: int = 1024
    layers: int = 12
    heads: int = 16
    head_width: int = 64
    ffn: int = 4096
    dropout: float = 0.1

    def __post_init__(self) -> None:
        self._check_types()
        problems = [
            (self.input_rate != FEATURE_RATE, f"the encoder takes {FEATURE_RATE} Hz only"),
            (
                self.semantic_width % self.semantic_heads,
                "semantic_width is not a multiple of semantic_heads",
            ),
            (
                self.width % 32,
                "width is not a multiple of 32, the groups of the decoder's GroupNorm",
            ),
            (
                self.hop % FEATURE_HOP,
                f"the strides multiply to {self.hop}, no multiple of {FEATURE_HOP}",
            ),
            (
                self.input_rate % self.hop,
                f"{self.input_rate} Hz is no whole number of frames of {self.hop} samples",
            ),
            (
                self.hop * self.sample_rate % self.input_rate,
                "a frame is no whole number of output samples",
            ),
            (self.output_hop % 2, "an output frame must have an even number of samples"),
            (any(level < 2 for level in self.levels), "FSQ levels must be 2 or more"),
            (self.codebook_size > 2**31, "the codebook is beyond 32-bit codes"),
            (
                max(self.layers, self.semantic_layers, self.spectrogram_layers) > 1000,
                "more than 1000 layers",
            ),
            (
                self.feature_padding not in (0, FEATURE_HOP),
                f"feature_padding must be 0 or {FEATURE_HOP}",
            ),
        ]
        for wrong, message in problems:
            if wrong:
                raise CheckpointError(f"impossible model configuration: {message}")

    def _check_types(self) -> None:
        """Whole numbers of a size that some model could have: a damaged file must not cost hours or
        memory.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("strides", "levels"):
                good = (
                    isinstance(value, (list, tuple))
                    and 0 < len(value) <= 32
                    and all(map(_is_size, value))
                )
                object.__setattr__(self, field.name, tuple(value) if good else ())
            elif field.name == "dropout":
                good = isinstance(value, (int, float)) and 0 <= value < 1
            elif field.name == "acoustic_encoder":
                good = value in ("waveform", "spectrogram")
            elif field.name in (
                "feature_padding",
                "spectrogram_layers",
                "attention_left",
                "attention_right",
            ):
                good = value == 0 or _is_size(value)
            else:
                good = _is_size(value)
            if not good:
                raise CheckpointError(f"impossible model configuration: {field.name} is {value!r}")

    @property
    def hop(self) -> int:
        """Input samples per code."""
        return prod(self.strides)

    @property
    def output_hop(self) -> int:
        """Output samples per code."""
        return self.hop * self.sample_rate // self.input_rate

    @property
    def n_fft(self) -> int:
        """Length of the synthesis window, output samples."""
        return 4 * self.output_hop

    @property
    def frame_rate(self) -> int:
        """Codes per second."""
        return self.input_rate // self.hop

    @property
    def codebook_size(self) -> int:
        """How many different codes there are."""
        return prod(self.levels)

    @property
    def feature_stack(self) -> int:
        """fbank frames that make up one semantic frame."""
        return self.hop // FEATURE_HOP

    @property
    def feature_width(self) -> int:
        """Numbers in one semantic frame: 160 at 50 Hz."""
        return MEL_BINS * self.feature_stack

    @property
    def latent_width(self) -> int:
        """Semantic and acoustic width together: what the quantizer projects from and to."""
        return self.semantic_width + self.width

    def padded_frames(self, num_samples: int) -> int:
        """Frames after the right pad, which always adds at least one sample."""
        return num_samples // self.hop + 1

    def frames(self, num_samples: int) -> int:
        """Codes that `num_samples` input samples give: N//hop + 1, or N//hop without feature
        padding.
        """
        padded = self.padded_frames(num_samples) * self.hop + 2 * self.feature_padding
        fbank_frames = (padded - FEATURE_WINDOW) // FEATURE_HOP + 1
        return min(self.padded_frames(num_samples), fbank_frames // self.feature_stack)

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, as config.json holds them."""
        return {
            name: list(v) if isinstance(v, tuple) else v
            for name, v in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> XCodec2Config:
        """The reverse of :meth:`to_dict`; raises CheckpointError for a field that this version does
        not know.
        """
        if not isinstance(values, Mapping):
            raise CheckpointError(
                f"a model configuration must be an object of fields, not {values!r}"
            )
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise CheckpointError(
                f"unknown fields in the model configuration: {', '.join(unknown)}; "
                "the checkpoint may come from a newer open-xcodec2, try upgrading"
            )
        return cls(**values)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1_000_000
