"""Lists of inputs → batches that fit, and inputs too long for one pass → windows.

Every item gets the codes and the waveform that it would get alone: rows of equal length run without
masks, mixed ones with them (see `xcodec2.codec.masking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec.inference import streams, windows
from xcodec2.codec.inference.passes import decode_rows, encode_rows
from xcodec2.codec.network import CodecNetwork
from xcodec2.errors import XCodec2Error

Progress = Callable[[int, int], object]  # frames done, frames in all

BATCH_FRAMES = 3000  # padded frames in one batch: a minute at 50 Hz
CPU_BATCH_FRAMES = 500  # there more only makes arrays that fit no cache
# what starting a batch costs, in frames (bfloat16 at full size): kernels wait for Python
START = 2000
CPU_START = 20  # there weights come from memory once a batch
# a minute and its padding: up to here full attention; longer inputs go through in windows
EXACT_FRAMES = 3001


def encode(
    network: CodecNetwork, waveforms: Sequence[Tensor], progress: Progress | None = None
) -> list[Tensor]:
    """Waveforms (N,) at the input rate → codes (T,) int64 on the CPU, in order.

    Raises:
        XCodec2Error: A waveform is too short for a single code.
    """
    for waveform in waveforms:
        if not network.config.frames(len(waveform)):
            raise XCodec2Error(
                f"the audio has {len(waveform)} samples at {network.config.input_rate} Hz; "
                f"this model needs at least {network.config.min_samples}"
            )
    frames = [network.config.frames(len(waveform)) for waveform in waveforms]
    done = counter(sum(frames), progress)
    return in_batches(
        waveforms,
        frames,
        plan(network, frames),
        lambda rows: encode_batch(network, rows),
        lambda w: windows.encode_long(network, w, done=done),
        done,
    )


def decode(
    network: CodecNetwork, codes: Sequence[Tensor], progress: Progress | None = None
) -> list[Tensor]:
    """Codes (T,) → waveforms (T·output_hop,) float32 on the CPU, in order."""
    frames = [len(row) for row in codes]
    done = counter(sum(frames), progress)
    return in_batches(
        codes,
        frames,
        plan(network, frames),
        lambda rows: decode_batch(network, rows),
        lambda c: streams.decode_long(network, c, done=done),
        done,
    )


def plan(
    network: CodecNetwork, frames: Sequence[int], max_frames: int | None = None
) -> list[list[int]]:
    """Indices of items of so many frames, in batches.

    Each has at most `max_frames` padded frames, by default what suits the device.
    """
    if network.device.type == "cpu":
        return least_padding(
            frames, CPU_BATCH_FRAMES if max_frames is None else max_frames, CPU_START
        )
    return least_padding(frames, BATCH_FRAMES if max_frames is None else max_frames, START)


def least_padding(frames: Sequence[int], max_frames: int, start: int) -> list[list[int]]:
    """Indices of items of near lengths, in the batches that cost least together.

    A batch costs its padded frames and `start` on top. It has at most `max_frames` padded frames,
    or one item.
    """
    order = sorted(range(len(frames)), key=frames.__getitem__)
    costs, cuts = (
        [0],
        [0],
    )  # of the first n items: what they cost, and where their last batch begins
    for stop, index in enumerate(order, 1):
        longest = frames[index]
        earliest = max(0, stop - max(1, max_frames // longest))
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


def encode_batch(network: CodecNetwork, waveforms: list[Tensor]) -> list[Tensor]:
    """One pass over waveforms of any lengths."""
    codes = encode_rows(network, *collate(network, waveforms))
    return [row[: network.config.frames(len(w))] for row, w in zip(codes, waveforms, strict=True)]


def collate(network: CodecNetwork, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Waveforms (N,) → (B, P) with zeros behind them, and lengths (B,) where they differ.

    Each length is whole frames, as `CodecNetwork.pad` makes of the waveform alone.
    """
    padded = [network.config.padded_samples(len(waveform)) for waveform in waveforms]
    return stack_padded(waveforms, max(padded)), lengths_of(padded, network.device)


def decode_batch(network: CodecNetwork, codes: list[Tensor]) -> list[Tensor]:
    """One pass over codes of any lengths."""
    sizes = [len(row) for row in codes]
    rows = stack_padded([row.long() for row in codes], max(sizes))
    waveforms = decode_rows(network, rows, lengths_of(sizes, network.device))
    hop = network.config.output_hop
    return [row[: size * hop] for row, size in zip(waveforms, sizes, strict=True)]


def stack_padded(rows: Sequence[Tensor], size: int) -> Tensor:
    """(N,) each → (B, size), zeros behind their ends."""
    return torch.stack([F.pad(row, (0, size - len(row))) for row in rows])


def lengths_of(sizes: Sequence[int], device: torch.device) -> Tensor | None:
    """(B,), or None where all are the same and masks are not needed."""
    return None if len(set(sizes)) == 1 else torch.tensor(sizes, device=device)
