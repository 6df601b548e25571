"""A whole recording at once: samples → codes → samples.

N samples, T frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from xcodec2.codec.compiled.arithmetic import (
    Levels,
    Synthesis,
    kaldi_fbank,
    log_spectra,
    normalized,
    stacked,
)
from xcodec2.codec.compiled.network import DecoderProgram, EncoderProgram
from xcodec2.codec.compiled.program import Array
from xcodec2.codec.config import FEATURE_HOP, XCodec2Config
from xcodec2.codec.constants import SPECTRA_SIDE


class CompiledCodec:
    """A codec whose layers the engine runs.

    Args:
        config: One that `network.suits`.
        weights: Arrays by their names in checkpoints; those of the encoder are needed to encode.
    """

    def __init__(self, config: XCodec2Config, weights: Mapping[str, Array]) -> None:
        self.config, self.weights = config, weights
        self.finite = config.receptive_field is not None
        self.stack = config.hop // FEATURE_HOP
        self.levels, self.synthesis = Levels(config.levels), Synthesis(config)

    @cached_property
    def encoder(self) -> EncoderProgram:
        """Put together when it is first needed."""
        return EncoderProgram(self.config, self.weights)

    @cached_property
    def decoder(self) -> DecoderProgram:
        """Likewise."""
        return DecoderProgram(self.config, self.weights)

    def project(self, samples: Array) -> Array:
        """(N,) float32 → (T, K): what the quantizer bounds."""
        count = self.config.padded_frames(len(samples))
        padded = np.zeros(count * self.config.hop, np.float32)
        padded[: len(samples)] = samples
        return self.project_padded(padded)

    def project_padded(self, padded: Array) -> Array:
        """(P,) float32, P a multiple of the hop → (T, K)."""
        side, encoder = self.config.feature_padding, self.encoder
        fbank = kaldi_fbank(np.pad(padded, side)[None])
        features = stacked(normalized(fbank, self.finite), self.stack)
        spectra = stacked(log_spectra(np.pad(padded, SPECTRA_SIDE)[None]), self.stack)
        count, frames = spectra.shape[1], features.shape[1]  # NeuCodec's features are one fewer
        aligned = np.zeros((1, count, features.shape[2]), np.float32)
        aligned[:, :frames] = features
        given = [(encoder.features, aligned), (encoder.spectra, spectra)]
        return encoder.program.run(given, encoder.projected)[0, : min(count, frames)]

    def encode(self, samples: Array) -> tuple[Array, Array]:
        """(N,) float32 at the input rate → codes (T,) int64, and how far each is from another."""
        return self.levels.codes(self.project(samples))

    def decode(self, codes: Array) -> Array:
        """(T,) integers → (T·output_hop,) float32."""
        decoder = self.decoder
        values = self.levels.values(codes.astype(np.int64)[None])
        spectrum = decoder.program.run([(decoder.values, values)], decoder.spectrum)
        return np.asarray(self.synthesis.whole(spectrum)[0])
