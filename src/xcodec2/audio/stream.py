"""Audio that arrives in chunks: checked, converted and resampled as it comes, with the same bits as
`load_audio` of the whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from xcodec2.audio.io import checked_rate, resampled_length
from xcodec2.audio.samples import finite, to_float32
from xcodec2.errors import AudioError
from xcodec2.lazy import is_tensor


class AudioStream:
    """Mono samples in chunks of any sizes → float32 at another rate.

    Args:
        sample_rate: Of the chunks, in Hz.
        target_rate: Of what comes out, in Hz.

    Raises:
        AudioError: The rate is none that audio has.
    """

    def __init__(self, sample_rate: int, target_rate: int) -> None:
        self.rate, self.target_rate = checked_rate(sample_rate), target_rate
        self.num_samples = self.given = 0  # samples that came in, and that went out
        self.resampler = None
        if self.rate != target_rate:  # the settings of `load_audio`
            self.resampler = soxr.ResampleStream(
                self.rate, target_rate, 1, dtype="float32", quality="VHQ"
            )

    def check(self, chunk: Any) -> np.ndarray:
        """A chunk as samples (n,) float32, possibly none; nothing is kept of it.

        Raises:
            AudioError: It is not 1-D audio, or holds NaN or infinity.
        """
        if is_tensor(chunk):
            import torch

            if chunk.layout is not torch.strided or chunk.is_quantized or chunk.is_meta:
                raise AudioError("a chunk of audio must be a plain tensor")
            chunk = chunk.detach().cpu()
            chunk = (chunk.float() if chunk.dtype == torch.bfloat16 else chunk).numpy()
        if not isinstance(chunk, np.ndarray):
            raise AudioError(
                f"a chunk of audio must be an array or a tensor, not {type(chunk).__name__}"
            )
        if chunk.ndim != 1 or chunk.dtype.kind not in "fiu":
            raise AudioError(
                "a chunk of audio must be 1-D, of a float or integer type, not "
                f"{chunk.dtype} of shape {chunk.shape}"
            )
        return finite(to_float32(chunk), "a chunk of audio")

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Checked samples (n,) → those that are final now, (m,) float32 at the target rate."""
        self.num_samples += len(samples)
        if self.resampler:
            samples = self.resampler.resample_chunk(samples)
        self.given += len(samples)
        return finite(samples, "a chunk of audio")

    @property
    def total(self) -> int:
        """Samples at the target rate that there are in all if none follow.

        Raises:
            AudioError: There are none.
        """
        if not self.num_samples:
            raise AudioError("the stream holds no audio samples")
        return resampled_length(self.num_samples, self.rate, self.target_rate)

    def finish(self) -> np.ndarray:
        """The samples that waited for more to come, (m,) float32.

        Raises:
            AudioError: There were no samples at all.
        """
        total = self.total
        rest = np.zeros(0, np.float32)
        if self.resampler:
            rest = finite(self.resampler.resample_chunk(rest, last=True), "the stream's end")
            wanted = max(total - self.given, 0)
            rest = np.pad(rest[:wanted], (0, wanted - len(rest[:wanted])))
        self.given += len(rest)
        return rest
