"""Encoding speech as it arrives with a model whose receptive field has no limit: in windows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec.config import FEATURE_HOP, FEATURE_WINDOW
from xcodec2.codec.features import kaldi_fbank
from xcodec2.codec.inference.passes import encode_rows
from xcodec2.codec.inference.streams import check_window
from xcodec2.codec.inference.windows import RunningMoments
from xcodec2.codec.network import CodecNetwork

STEP, LOOK_BACK, LOOK_AHEAD = 25, 250, 5  # frames


class WindowEncoder:
    """A stream of speech. Features are normalized by all that came so far.

    Args:
        network: The model.
        step: Frames whose codes come out at a time.
        look_back: Frames before them that each window also sees.
        look_ahead: Frames behind them that must be known first.

    Raises:
        XCodec2Error: The window has no size.
    """

    def __init__(self, network: CodecNetwork, step: int, look_back: int, look_ahead: int) -> None:
        check_window(step, look_back, look_ahead, least=1)
        self.network, self.step = network, step
        self.look_back, self.look_ahead = look_back, look_ahead
        # samples from `look_back` frames before the next code on
        self.known = torch.empty(0, dtype=torch.float32, device="cpu")
        self.start = 0  # frames in `known` whose codes are out
        self.moments = RunningMoments()
        # samples of the fbank frames that are not in the moments yet
        padding = network.config.feature_padding
        self.unmeasured = torch.zeros(padding, dtype=torch.float32, device="cpu")
        self.num_samples, self.ended = 0, False

    def add(self, samples: Tensor) -> None:
        """Take in samples (n,) at the input rate."""
        self.num_samples += len(samples)
        self.known = torch.cat([self.known, samples])
        self.measure(samples)

    def end(self) -> None:
        """No samples will follow."""
        config = self.network.config
        padded = config.padded_samples(self.num_samples) - self.num_samples
        self.known = F.pad(self.known, (0, padded))
        silence = padded + config.feature_padding
        self.measure(torch.zeros(silence, dtype=torch.float32, device="cpu"))
        self.ended = True

    def measure(self, samples: Tensor) -> None:
        """Take their fbank into the moments."""
        self.unmeasured = torch.cat([self.unmeasured, samples])
        count = (len(self.unmeasured) - FEATURE_WINDOW) // FEATURE_HOP + 1
        if count > 0:
            self.moments.update(kaldi_fbank(self.unmeasured[None].to(self.network.device)))
            self.unmeasured = self.unmeasured[count * FEATURE_HOP :]

    def pieces(self) -> Iterator[Tensor]:
        """The codes that can be known now: (t,) int64, `step` frames at a time."""
        hop, step = self.network.config.hop, self.step
        while len(self.known) // hop >= self.start + step + self.look_ahead:
            codes = self.window((self.start + step + self.look_ahead) * hop)
            yield codes[self.start : self.start + step]
            dropped = max(self.start + step - self.look_back, 0)
            self.known, self.start = self.known[dropped * hop :], self.start + step - dropped
        if self.ended and len(self.known) // hop > self.start:
            codes = self.window(len(self.known))
            yield codes[self.start :]
            self.start = len(self.known) // hop

    def window(self, num_samples: int) -> Tensor:
        """Codes of the first so many samples that are known; NeuCodec's are one fewer.

        Where two frames are pooled, an odd last one has no code, but the others see it.
        """
        rows = self.known[None, :num_samples]
        return encode_rows(self.network, rows, moments=self.moments.moments)[0]
