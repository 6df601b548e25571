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
    """
    if step < FADE or look_back < 0 or look_ahead < FADE:
        raise XCodec2Error(
            f"a stream needs step >= {FADE}, look_back >= 0 and look_ahead >= {FADE} frames"
        )
    return _decode_windows(network, chunks, step, look_back, look_ahead)


def _decode_windows(
    network: CodecNetwork, chunks: Iterable[Tensor], step: int, look_back: int, look_ahead: int
) -> Iterator[Tensor]:
    hop = network.config.output_hop
    # codes from `look_back` frames before the next sound on
    known = torch.empty(0, dtype=torch.long, device="cpu")
    start = 0  # index in `known` of the first frame not yet sounded
    # the last window's version of the samples that come next
    tail = torch.empty(0, dtype=torch.float32, device="cpu")
    for chunk in chunks:
        known = torch.cat([known, chunk.cpu().long()])
        while len(known) >= start + step + look_ahead:
            waveform = decode_window(network, known[: start + step + look_ahead])[start * hop :]
            yield joined(tail, waveform[: step * hop])
            tail = waveform[step * hop : (step + FADE) * hop]
            dropped = max(start + step - look_back, 0)
            known, start = known[dropped:], start + step - dropped
    if len(known) > start:
        yield joined(tail, decode_window(network, known)[start * hop :])


def decode_window(network: CodecNetwork, codes: Tensor) -> Tensor:
    """(t,) → (t·output_hop,) on the CPU."""
    return decode_rows(network, codes[None])[0]


def joined(tail: Tensor, waveform: Tensor) -> Tensor:
    """The new window's samples, faded in over the old window's version of their beginning."""
    rising = torch.linspace(0, 1, len(tail) + 2, dtype=tail.dtype, device=tail.device)[1:-1]
    head = tail * (1 - rising) + waveform[: len(tail)] * rising
    return torch.cat([head, waveform[len(tail) :]])
