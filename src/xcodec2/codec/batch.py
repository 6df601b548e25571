"""Lists of inputs → batches that fit, and inputs too long for one pass → windows.

Every item gets the codes and the waveform that it would get alone: rows of equal length run without masks,
mixed ones with them (see :mod:`xcodec2.codec.ragged`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec import stream, window
from xcodec2.codec.inference import decode_rows, encode_rows
from xcodec2.errors import XCodec2Error

if TYPE_CHECKING:
    from xcodec2.codec.model import XCodec2Model

Progress = Callable[[int, int], object]  # frames done, frames in all

BATCH_FRAMES = 3000  # padded frames in one batch: a minute at 50 Hz
CPU_BATCH_FRAMES = 500  # there more only makes arrays that fit no cache
EXACT_FRAMES = 3001  # a minute and its padding: up to here full attention; longer inputs go through in windows


def encode(model: XCodec2Model, waveforms: Sequence[Tensor], progress: Progress | None = None) -> list[Tensor]:
    """Waveforms (N,) at the input rate → codes (T,) int64 on the CPU, in order."""
    for waveform in waveforms:
        if not model.config.frames(len(waveform)):
            raise XCodec2Error(
                f"the audio has {len(waveform)} samples at {model.config.input_rate} Hz; "
                f"this model needs at least {model.config.hop}"
            )
    frames = [model.config.frames(len(waveform)) for waveform in waveforms]
    done = counter(sum(frames), progress)
    return in_batches(
        waveforms,
        frames,
        batch_frames(model),
        lambda rows: encode_batch(model, rows),
        lambda w: window.encode(model, w, done=done),
        done,
    )


def decode(model: XCodec2Model, codes: Sequence[Tensor], progress: Progress | None = None) -> list[Tensor]:
    """Codes (T,) → waveforms (T·output_hop,) float32 on the CPU, in order."""
    frames = [len(row) for row in codes]
    done = counter(sum(frames), progress)
    return in_batches(
        codes,
        frames,
        batch_frames(model),
        lambda rows: decode_batch(model, rows),
        lambda c: stream.decode_long(model, c, done=done),
        done,
    )


def batch_frames(model: XCodec2Model) -> int:
    """Padded frames that one batch may have."""
    return CPU_BATCH_FRAMES if model.device.type == "cpu" else BATCH_FRAMES


def counter(total: int, progress: Progress | None) -> Callable[[int], None]:
    """Adds up frames as they are finished, and reports them."""
    finished = 0

    def done(frames: int) -> None:
        nonlocal finished
        finished += frames
        if progress:
            progress(finished, total)

    return done


def in_batches(
    items: Sequence[Tensor],
    frames: Sequence[int],
    most: int,
    run_batch: Callable[[list[Tensor]], list[Tensor]],
    run_long: Callable[[Tensor], Tensor],
    done: Callable[[int], None],
) -> list[Tensor]:
    """Sort by length, cut into batches of at most `most` padded frames, run, and put back in order.

    `run_long` reports its frames itself, as it goes.
    """
    results: dict[int, Tensor] = {}
    waiting: list[int] = []

    def run_waiting() -> None:
        if waiting:
            results.update(zip(waiting, run_batch([items[i] for i in waiting]), strict=True))
            done(sum(frames[i] for i in waiting))
            waiting.clear()

    for index in sorted(range(len(items)), key=frames.__getitem__):
        if frames[index] > EXACT_FRAMES:
            results[index] = run_long(items[index])
            continue
        if frames[index] * (len(waiting) + 1) > most:
            run_waiting()
        waiting.append(index)
    run_waiting()
    return [results[index] for index in range(len(items))]


def encode_batch(model: XCodec2Model, waveforms: list[Tensor]) -> list[Tensor]:
    """One pass over waveforms of any lengths."""
    hop = model.config.hop
    padded = [model.config.padded_frames(len(waveform)) * hop for waveform in waveforms]
    rows = torch.stack([F.pad(w, (0, max(padded) - len(w))) for w in waveforms])
    lengths = None if len(set(padded)) == 1 else torch.tensor(padded, device=model.device)
    codes = encode_rows(model, rows, lengths)
    return [row[: model.config.frames(len(w))] for row, w in zip(codes, waveforms, strict=True)]


def decode_batch(model: XCodec2Model, codes: list[Tensor]) -> list[Tensor]:
    """One pass over codes of any lengths."""
    sizes = [len(row) for row in codes]
    rows = torch.stack([F.pad(row.long(), (0, max(sizes) - len(row))) for row in codes])
    lengths = None if len(set(sizes)) == 1 else torch.tensor(sizes, device=model.device)
    waveforms = decode_rows(model, rows, lengths)
    hop = model.config.output_hop
    return [row[: size * hop] for row, size in zip(waveforms, sizes, strict=True)]
