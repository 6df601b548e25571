"""Decoding in windows: as codes arrive from a language model, and of recordings too long for one
pass.

The decoder looks both ways, so each window also holds frames before and after the ones it is run
for. At a join the two windows' versions of one hop of samples are cross-faded: no clicks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from xcodec2.codec.inference.passes import decode_rows
from xcodec2.codec.network import CodecNetwork
from xcodec2.errors import XCodec2Error

STEP, LOOK_BACK, LOOK_AHEAD = 25, 100, 5  # frames, for streams
LONG_STEP, LONG_LOOK = 1000, 250  # frames, for long recordings
FADE = 1  # frames cross-faded at a join


def decode_long(
    network: CodecNetwork, codes: Tensor, *, done: Callable[[int], None] = lambda frames: None
) -> Tensor:
    """(T,) → (T·output_hop,) on the CPU, in windows of LONG_STEP frames that see LONG_LOOK more on
    each side.

    `done` is told the frames of each window when it is finished.
    """
    hop, filled, look = network.config.output_hop, 0, LONG_LOOK
    if field := network.receptive_field:  # then the windows give what the whole would
        look = max(field.decoder_back, field.decoder_ahead)
    waveform = torch.empty(len(codes) * hop, dtype=torch.float32, device="cpu")
    for piece in decode_stream(
        network, codes.split(LONG_STEP), step=LONG_STEP, look_back=look, look_ahead=look
    ):
        waveform[filled : filled + len(piece)] = piece
        filled += len(piece)
        done(len(piece) // hop)
    return waveform


def decode_stream(
    network: CodecNetwork, chunks: Iterable[Tensor], *, step: int, look_back: int, look_ahead: int
) -> Iterator[Tensor]:
    """Chunks (t,) of codes → chunks of waveform on the CPU, `step` frames at a time; see
    XCodec2Model.stream_decode.

    Raises:
        XCodec2Error: `step` or `look_ahead` is too short to fade over, or `look_back` negative.
    """
    decoder = WindowDecoder(network, step, look_back, look_ahead)

    def pieces() -> Iterator[Tensor]:
        for chunk in chunks:
            decoder.add(chunk)
            yield from decoder.pieces()
        decoder.end()
        yield from decoder.pieces()

    return pieces()


def check_window(step: int, look_back: int, look_ahead: int, least: int = FADE) -> None:
    """Raise XCodec2Error for a window that has no size, or too little to fade over."""
    if step < 1 or look_back < 0 or look_ahead < least:
        raise XCodec2Error(
            f"a stream needs step >= 1, look_back >= 0 and look_ahead >= {least} frames"
        )


class WindowDecoder:
    """A stream of codes of a model whose receptive field has no limit.

    Args:
        network: The model.
        step: Frames that come out at a time.
        look_back: Frames before them that each window also sees.
        look_ahead: Frames behind them that must be known first.

    Raises:
        XCodec2Error: `step` or `look_ahead` is too short to fade over, or `look_back` negative.
    """

    def __init__(self, network: CodecNetwork, step: int, look_back: int, look_ahead: int) -> None:
        check_window(step, look_back, look_ahead)
        self.network, self.step = network, step
        self.look_back, self.look_ahead = look_back, look_ahead
        # codes from `look_back` frames before the next sound on
        self.known = torch.empty(0, dtype=torch.long, device="cpu")
        self.start = 0  # index in `known` of the first frame not yet sounded
        # the last window's version of the samples that come next
        self.tail = torch.empty(0, dtype=torch.float32, device="cpu")
        self.ended = False

    def add(self, codes: Tensor) -> None:
        """Take in codes (t,)."""
        self.known = torch.cat([self.known, codes.cpu().long()])

    def end(self) -> None:
        """No codes will follow."""
        self.ended = True

    def pieces(self) -> Iterator[Tensor]:
        """What can be decoded now: (n,) float32, `step` frames at a time."""
        step, hop = self.step, self.network.config.output_hop
        while len(self.known) >= self.start + step + self.look_ahead:
            start = self.start
            window = self.known[: start + step + self.look_ahead]
            waveform = decode_window(self.network, window)[start * hop :]
            yield joined(self.tail, waveform[: step * hop])
            self.tail = waveform[step * hop : (step + FADE) * hop]
            dropped = max(start + step - self.look_back, 0)
            self.known, self.start = self.known[dropped:], start + step - dropped
        if self.ended and len(self.known) > self.start:
            waveform = decode_window(self.network, self.known)[self.start * hop :]
            self.start = len(self.known)
            yield joined(self.tail, waveform)


def decode_window(network: CodecNetwork, codes: Tensor) -> Tensor:
    """(t,) → (t·output_hop,) on the CPU."""
    return decode_rows(network, codes[None])[0]


def joined(tail: Tensor, waveform: Tensor) -> Tensor:
    """The new window's samples, faded in over the old window's version of their beginning."""
    rising = torch.linspace(0, 1, len(tail) + 2, dtype=tail.dtype, device=tail.device)[1:-1]
    head = tail * (1 - rising) + waveform[: len(tail)] * rising
    return torch.cat([head, waveform[len(tail) :]])
