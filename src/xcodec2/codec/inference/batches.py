"""Lists of inputs → batches that fit, and inputs too long for one pass → windows.

Every item gets the codes and the waveform that it would get alone: rows of equal length run without
masks, mixed ones with them (see :mod:`xcodec2.codec.masking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec.inference import streams, windows
from xcodec2.codec.inference.passes import decode_rows, encode_rows
from xcodec2.errors import XCodec2Error

if TYPE_CHECKING:
    from xcodec2.model import XCodec2Model

Progress = Callable[[int, int], object]  # frames done, frames in all

BATCH_FRAMES = 3000  # padded frames in one batch: a minute at 50 Hz
CPU_BATCH_FRAMES = 500  # there more only makes arrays that fit no cache
START = (
    2000  # what starting a batch costs, in frames (bfloat16 at full size): kernels wait for Python
)
CPU_START = 20  # there weights come from memory once a batch
EXACT_FRAMES = (
    3001  # a minute and its padding: up to here full attention; longer inputs go through in windows
)


def encode(
    model: XCodec2Model, waveforms: Sequence[Tensor], progress: Progress | None = None
) -> list[Tensor]:
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
        plan(model, frames),
        lambda rows: encode_batch(model, rows),
        lambda w: windows.encode(model, w, done=done),
        done,
    )


def decode(
    model: XCodec2Model, codes: Sequence[Tensor], progress: Progress | None = None
) -> list[Tensor]:
    """Codes (T,) → waveforms (T·output_hop,) float32 on the CPU, in order."""
    frames = [len(row) for row in codes]
    done = counter(sum(frames), progress)
    return in_batches(
        codes,
        frames,
        plan(model, frames),
        lambda rows: decode_batch(model, rows),
        lambda c: streams.decode_long(model, c, done=done),
        done,
    )


def plan(model: XCodec2Model, frames: Sequence[int], most: int | None = None) -> list[list[int]]:
    """Indices of items of so many frames, in batches of at most `most` padded frames or what suits
    the device.
    """
    if model.device.type == "cpu":
        return least_padding(frames, CPU_BATCH_FRAMES if most is None else most, CPU_START)
    return least_padding(frames, BATCH_FRAMES if most is None else most, START)


def least_padding(frames: Sequence[int], most: int, start: int) -> list[list[int]]:
    """Indices of items of near lengths, in the batches that cost least together.

    A batch costs its padded frames and `start` on top. It has at most `most` padded frames, or one
    item.
    """
    order = sorted(range(len(frames)), key=frames.__getitem__)
    costs, cuts = (
        [0],
        [0],
    )  # of the first n items: what they cost, and where their last batch begins
    for stop, index in enumerate(order, 1):
        longest = frames[index]
        earliest = max(0, stop - max(1, most // longest))
        cost, cut = min(
            (costs[cut] + (stop - cut) * longest + start, cut) for cut in range(earliest, stop)
        )
        costs.append(cost)
        cuts.append(cut)
    batches = []
    stop = len(order)
    while stop:
        batches.append(order[cuts[stop] : stop])
        stop = cuts[stop]
    return batches[::-1]


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
    batches: Sequence[list[int]],
    run_batch: Callable[[list[Tensor]], list[Tensor]],
    run_long: Callable[[Tensor], Tensor],
    done: Callable[[int], None],
) -> list[Tensor]:
    """Run each batch of indices, and put the results in the items' order.

    `run_long` reports its frames itself, as it goes.
    """
    results: dict[int, Tensor] = {}
    for indices in batches:
        if frames[indices[0]] > EXACT_FRAMES:
            results.update((index, run_long(items[index])) for index in indices)
            continue
        results.update(zip(indices, run_batch([items[index] for index in indices]), strict=True))
        done(sum(frames[index] for index in indices))
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
