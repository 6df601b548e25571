"""The figures that every way of running a codec says of it."""

from __future__ import annotations

from xcodec2.codec.config import XCodec2Config


class Rates:
    """For what has a `config`: how fast its codes and its samples go, and how many codes it has."""

    config: XCodec2Config

    @property
    def sample_rate(self) -> int:
        """Hz of the decoded waveform."""
        return self.config.sample_rate

    @property
    def frame_rate(self) -> int:
        """Codes per second."""
        return self.config.frame_rate

    @property
    def codebook_size(self) -> int:
        """How many different codes there are."""
        return self.config.codebook_size
