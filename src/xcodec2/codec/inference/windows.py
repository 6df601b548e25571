"""Encoding of files too long for one pass: overlapping windows, normalized as the whole file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec.config import FEATURE_HOP, FEATURE_WINDOW
from xcodec2.codec.features import kaldi_fbank
from xcodec2.codec.inference.passes import encode_rows
from xcodec2.codec.network import CodecNetwork, Moments

WINDOW_FRAMES = 1500  # frames in one pass
OVERLAP_FRAMES = 250  # frames at each end of a window that are encoded but not kept
STATISTICS_FRAMES = 3000  # codes' worth of fbank held at once


def encode_long(
    network: CodecNetwork,
    waveform: Tensor,
    *,
    size: int = WINDOW_FRAMES,
    overlap: int = OVERLAP_FRAMES,
    done: Callable[[int], None] = lambda frames: None,
) -> Tensor:
    """A waveform (N,) of any length → codes (T,) int64 on the CPU, in memory that does not grow
    with it.

    Differs from one pass over the whole only in how far attention sees: `overlap` frames at least.
    `done` is told the frames of each window when it is finished.
    """
    hop, frames = network.config.hop, network.config.frames(len(waveform))
    padded = network.config.padded_samples(len(waveform))
    if field := network.receptive_field:  # then the windows give what the whole would
        overlap = max(field.encoder_back, field.encoder_ahead)
        size = max(size, 3 * overlap)
    moments = file_moments(network, waveform)
    kept = []
    for start in range(0, frames, size - 2 * overlap):
        stop = min(start + size - 2 * overlap, frames)
        first = max(start - overlap, 0)
        last = min((stop + max(overlap, 1)) * hop, padded)  # NeuCodec ends a frame early
        codes = encode_rows(
            network, samples_between(waveform, first * hop, last)[None], moments=moments
        )
        kept.append(codes[0, start - first : stop - first])
        done(stop - start)
    return torch.cat(kept)


def file_moments(network: CodecNetwork, waveform: Tensor) -> Moments:
    """Mean and unbiased variance (1, 1, 80) of the fbank over the whole padded file, block by
    block.
    """
    moments = RunningMoments()
    for fbank in fbank_blocks(network, waveform):
        moments.update(fbank)
    return moments.moments


class RunningMoments:
    """Mean and variance of a fbank that comes block by block."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(1, 1, 1, dtype=torch.float64, device="cpu")

    def update(self, fbank: Tensor) -> None:
        """Take in a block (1, F, 80)."""
        block_mean = fbank.mean(1, keepdim=True)
        block_squares = (fbank - block_mean).square().sum(1, keepdim=True)
        delta, total = block_mean - self.mean.to(fbank), self.count + fbank.shape[1]
        between = delta.square() * (self.count * fbank.shape[1] / total)
        self.squares = self.squares.to(fbank) + block_squares + between
        self.mean = self.mean.to(fbank) + delta * (fbank.shape[1] / total)
        self.count = total

    @property
    def moments(self) -> Moments:
        """Mean and unbiased variance (1, 1, 80) of all blocks so far."""
        return self.mean, self.squares / (self.count - 1)


def fbank_blocks(network: CodecNetwork, waveform: Tensor) -> Iterator[Tensor]:
    """The file's fbank (1, F, 80) in pieces, each frame once and as in the whole file."""
    hop, side = network.config.hop, network.config.feature_padding
    last = network.config.padded_samples(len(waveform)) + side
    step = STATISTICS_FRAMES * hop
    for start in range(-side, last - FEATURE_WINDOW + 1, step):
        stop = min(start + step + FEATURE_WINDOW - FEATURE_HOP, last)
        yield kaldi_fbank(samples_between(waveform, start, stop)[None].to(network.device))


def samples_between(waveform: Tensor, start: int, stop: int) -> Tensor:
    """Samples start … stop of (N,), with zeros where they lie outside."""
    covered = waveform[max(start, 0) : max(stop, 0)]
    return F.pad(covered, (max(-start, 0), stop - max(start, 0) - len(covered)))
