"""Every architecture number of the codec, in one place.

The defaults are the published XCodec2; NeuCodec and the small models differ in values only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any, Literal

from xcodec2.errors import CheckpointError

FEATURE_RATE = 16_000  # Hz of the audio that features are computed on
FEATURE_HOP = 160  # samples between two fbank frames: 10 ms at 16 kHz
FEATURE_WINDOW = 400  # samples under one fbank frame: 25 ms
MEL_BINS = 80
PITCH_FFT = 1024  # samples under one frame of the spectrogram encoder's pitch bins

POSSIBLY_ZERO = (
    "feature_padding",
    "spectrogram_layers",
    "attention_left",
    "attention_right",
    "convolutions_ahead",
)
LISTS_OF_SIZES = ("strides", "levels")
POSSIBLY_EMPTY = ("attention_window", "upsampling", "upsampling_kernels")
# fields of later releases: they are written only where they differ, so that earlier ones can read
# the models that do without
LATER_FIELDS = ("pooling", "upsampling", "upsampling_kernels")


@dataclass(frozen=True)
class ReceptiveField:
    """Frames that one frame depends on, before and behind it.

    A code depends on the speech of its own frame and of so many others; a frame of decoded samples
    on its own code and so many others.

    Attributes:
        encoder_back: Frames of speech before, for a code.
        encoder_ahead: Frames of speech behind.
        decoder_back: Codes before, for a frame of samples.
        decoder_ahead: Codes behind.
    """

    encoder_back: int
    encoder_ahead: int
    decoder_back: int
    decoder_ahead: int


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
    pooling: int = 1  # encoder frames whose mean becomes one code (xcodec2-25TPS-24k: 2)
    levels: tuple[int, ...] = (4,) * 8

    # decoder; its width is also what the acoustic encoder gives
    width: int = 1024
    layers: int = 12
    heads: int = 16
    head_width: int = 64
    ffn: int = 4096
    dropout: float = 0.1
    upsampling: tuple[int, ...] = ()  # of the frames, before the head (Anime-XCodec2 at 44.1 kHz)
    upsampling_kernels: tuple[int, ...] = ()  # of its transposed convolutions, one a factor

    # receptive field: without a window attention sees everything, norms run over the whole
    # recording, convolutions look as far ahead as back. With one nothing depends on more than some
    # frames, and each frame is normed alone.
    attention_window: tuple[
        int, ...
    ] = ()  # frames back and ahead that each attention layer sees; () is no limit
    convolutions_ahead: int = (
        3  # frames that a branch's convolutions see ahead in all, with a window; the first do
    )

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
                self.encoder_hop % FEATURE_HOP,
                f"the strides multiply to {self.encoder_hop}, no multiple of {FEATURE_HOP}",
            ),
            (
                self.input_rate % self.hop,
                f"{self.input_rate} Hz is no whole number of frames of {self.hop} samples",
            ),
            (
                self.hop * self.sample_rate % self.input_rate,
                "a frame is no whole number of output samples",
            ),
            (
                self.output_hop % prod(self.upsampling),
                f"{self.output_hop} output samples a code are no multiple of the upsampling",
            ),
            (self.head_hop % 2, "an output frame must have an even number of samples"),
            (
                len(self.upsampling) != len(self.upsampling_kernels)
                or any(
                    kernel < factor
                    for kernel, factor in zip(
                        self.upsampling_kernels, self.upsampling, strict=False
                    )
                ),
                "upsampling_kernels are not one for each factor, and no shorter",
            ),
            (
                len(self.upsampling) > 5 or self.width % (32 << len(self.upsampling)),
                "width cannot be halved so often to multiples of 32",
            ),
            (
                self.attention_window and (self.upsampling or self.pooling > 1),
                "pooling and upsampling have no finite receptive field",
            ),
            (any(level < 2 for level in self.levels), "FSQ levels must be 2 or more"),
            (self.codebook_size > 2**31, "the codebook is beyond 32-bit codes"),
            (
                max(self.layers, self.semantic_layers, self.spectrogram_layers) > 1000,
                "more than 1000 layers",
            ),
            (
                len(self.attention_window) not in (0, 2),
                "attention_window is not two numbers, back and ahead",
            ),
            (
                self.attention_window and self.acoustic_encoder != "spectrogram",
                "only the spectrogram encoder can have an attention_window",
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
            if field.name in LISTS_OF_SIZES:
                good = (
                    isinstance(value, (list, tuple))
                    and 0 < len(value) <= 32
                    and all(map(_is_size, value))
                )
                object.__setattr__(self, field.name, tuple(value) if good else ())
            elif field.name in POSSIBLY_EMPTY:
                good = isinstance(value, (list, tuple)) and all(
                    _is_size(number) or number == 0 for number in value
                )
                object.__setattr__(self, field.name, tuple(value) if good else ())
            elif field.name == "dropout":
                good = isinstance(value, (int, float)) and 0 <= value < 1
            elif field.name == "acoustic_encoder":
                good = value in ("waveform", "spectrogram")
            elif field.name in POSSIBLY_ZERO:
                good = value == 0 or _is_size(value)
            else:
                good = _is_size(value)
            if not good:
                raise CheckpointError(f"impossible model configuration: {field.name} is {value!r}")

    @property
    def encoder_hop(self) -> int:
        """Input samples per frame of the encoders."""
        return prod(self.strides)

    @property
    def hop(self) -> int:
        """Input samples per code."""
        return self.encoder_hop * self.pooling

    @property
    def output_hop(self) -> int:
        """Output samples per code."""
        return self.hop * self.sample_rate // self.input_rate

    @property
    def head_hop(self) -> int:
        """Output samples per frame of the inverse STFT."""
        return self.output_hop // prod(self.upsampling)

    @property
    def n_fft(self) -> int:
        """Length of the synthesis window, output samples."""
        return 4 * self.head_hop

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
        return self.encoder_hop // FEATURE_HOP

    @property
    def feature_width(self) -> int:
        """Numbers in one semantic frame: 160 at 50 Hz."""
        return MEL_BINS * self.feature_stack

    @property
    def latent_width(self) -> int:
        """Semantic and acoustic width together: what the quantizer projects from and to."""
        return self.semantic_width + self.width

    @property
    def min_samples(self) -> int:
        """Input samples that the shortest recording with a code has."""
        return max(1, (self.pooling - bool(self.feature_padding)) * self.encoder_hop)

    def padded_samples(self, num_samples: int) -> int:
        """Samples after the right pad to whole encoder frames, which always adds at least one."""
        return (num_samples // self.encoder_hop + 1) * self.encoder_hop

    def padded_frames(self, num_samples: int) -> int:
        """Whole codes' worth of padded samples."""
        return self.padded_samples(num_samples) // self.hop

    def frames(self, num_samples: int) -> int:
        """Codes that `num_samples` input samples give: N//hop + 1, or N//hop without feature
        padding; with pooling, as many whole groups as there are of those.
        """
        padded = self.padded_samples(num_samples)
        fbank_samples = padded + 2 * self.feature_padding
        fbank_frames = (fbank_samples - FEATURE_WINDOW) // FEATURE_HOP + 1
        frames = min(padded // self.encoder_hop, fbank_frames // self.feature_stack)
        return frames // self.pooling

    # ---- how far it sees -------------------------------------------------------------------------

    @property
    def acoustic_kernels(self) -> tuple[int, ...]:
        """Of the spectrogram encoder's convolutions."""
        return (3, *(7,) * self.spectrogram_layers)

    @property
    def adapter_kernels(self) -> tuple[int, ...]:
        """Kernel sizes of the semantic adapter's convolutions, in order."""
        return (3,) * 4

    @property
    def decoder_kernels(self) -> tuple[int, ...]:
        """Kernel sizes of the decoder's convolutions, in order."""
        return (7, *(3,) * 8)

    def aheads(self, kernels: Sequence[int]) -> tuple[int, ...]:
        """Frames that each of a branch's convolutions sees ahead."""
        left = self.convolutions_ahead if self.attention_window else sum(kernels)
        found = []
        for kernel in kernels:
            found.append(min(kernel // 2, left))
            left -= found[-1]
        return tuple(found)

    @property
    def receptive_field(self) -> ReceptiveField | None:
        """How far codes and samples depend on others; None where there is no limit."""
        if not self.attention_window:
            return None
        back, ahead = self.attention_window
        pitch = (PITCH_FFT - FEATURE_HOP) // 2 / self.hop  # frames, on both sides
        acoustic_back, acoustic_ahead = self._convolutions_see(self.acoustic_kernels)
        adapter_back, adapter_ahead = self._convolutions_see(self.adapter_kernels)
        semantic_back = self.semantic_layers * (back + self.semantic_conv_kernel - 1) + adapter_back
        semantic_ahead = self.semantic_layers * ahead + adapter_ahead
        fbank_back = self.feature_padding / self.hop
        fbank_ahead = (FEATURE_WINDOW - FEATURE_HOP - self.feature_padding) / self.hop
        decoder_back, decoder_ahead = self._convolutions_see(self.decoder_kernels)
        overlap = (
            (self.n_fft - self.output_hop) // 2 / self.output_hop
        )  # of the inverse STFT's windows
        return ReceptiveField(
            encoder_back=ceil(max(acoustic_back + pitch, semantic_back + fbank_back)),
            encoder_ahead=ceil(max(acoustic_ahead + pitch, semantic_ahead + fbank_ahead)),
            decoder_back=ceil(self.layers * back + decoder_back + overlap),
            decoder_ahead=ceil(self.layers * ahead + decoder_ahead + overlap),
        )

    def _convolutions_see(self, kernels: Sequence[int]) -> tuple[int, int]:
        """Frames back and ahead, of one convolution behind the other."""
        ahead = sum(self.aheads(kernels))
        return sum(kernels) - len(kernels) - ahead, ahead

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, as config.json holds them."""
        default = {field.name: field.default for field in dataclasses.fields(self)}
        return {
            name: list(v) if isinstance(v, tuple) else v
            for name, v in dataclasses.asdict(self).items()
            if name not in LATER_FIELDS or v != default[name]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> XCodec2Config:
        """The reverse of `to_dict`; raises CheckpointError for a field that this version does not
        know.
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
