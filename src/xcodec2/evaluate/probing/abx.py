"""ABX: whether a phone is nearer to another instance of itself than to another phone.

As ZeroSpeech measures it (Schatz, 2016; Kahn et al., 2020; Hallap et al., 2023), and in agreement
with its package zerospeech-libriabx2: angular distances of frames, dynamic time warping with the
mean distance along the path, and errors averaged over contexts, then speakers, then pairs of
phones. 0 is perfect, 0.5 is chance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xcodec2.corpus.labels import Interval

MAX_GROUP = 10  # instances of a phone by one speaker, in one context
MAX_OTHER_SPEAKERS = 5  # whose instances are X, for each A and B
PAIRS_AT_ONCE = 20_000
SILENCES = frozenset(
    ["", "#", "_", "sil", "sp", "spn", "pau", "ssil", "h#", "epi", "nsn", "brth", "<eps>", "SIL"]
)


class Item(NamedTuple):
    """One instance of a phone: its frames (T, D), or codes (T,), and what it is an instance of."""

    frames: np.ndarray
    phone: str
    context: tuple[str, str]
    speaker: str


@dataclass(frozen=True)
class ABXScore:
    """An ABX error.

    Attributes:
        error: Share of triples that are wrong, 0 to 1; ties count half.
        pairs: Ordered pairs of phones that it is the mean of.
        low: Of the 95 % interval, by resampling pairs of phones; None with a single one.
        high: The same.
    """

    error: float
    pairs: int
    low: float | None
    high: float | None


def items_of(
    frames: np.ndarray, intervals: Sequence[Interval], frame_rate: float, speaker: str
) -> Iterator[Item]:
    """The phones of one recording, with the frames that the reference package takes of each.

    Their middles are inside of the phone, and the last of these is left out: at 50 frames a second
    a phone of less than 40 ms may have none, and is no item.

    Args:
        frames: (T, D) vectors or (T,) codes of the whole recording.
        intervals: Its phones, in order.
        frame_rate: Frames a second.
        speaker: Who says it.

    Yields:
        Items of all phones that are no silence.
    """
    for place, interval in enumerate(intervals):
        if interval.phone in SILENCES:
            continue
        start = max(0, math.ceil(frame_rate * interval.start - 0.5))
        end = min(len(frames), math.floor(frame_rate * interval.end - 0.5))
        if end <= start:
            continue
        before = intervals[place - 1].phone if place else ""
        after = intervals[place + 1].phone if place + 1 < len(intervals) else ""
        yield Item(frames[start:end], interval.phone, (before, after), speaker)


def abx(
    items: Sequence[Item], *, across_speakers: bool, any_context: bool, seed: int = 0
) -> ABXScore | None:
    """The ABX error of items.

    Args:
        items: Of a corpus; all with vectors, or all with codes, which differ or do not.
        across_speakers: A and B are one speaker's and X is another's; else all are one speaker's.
        any_context: Whatever stands around the phones; else all three have the same neighbors.
        seed: Picks instances where there are more than `MAX_GROUP` or `MAX_OTHER_SPEAKERS`.

    Returns:
        The error; None where no triple can be made.
    """
    # speaker, phone, other phone → the errors of its contexts (and speakers of X)
    errors: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    waiting: list[PhoneBlock] = []
    size = 0
    distances = Distances(items)
    for block in blocks(items, across_speakers, any_context, np.random.default_rng(seed)):
        waiting.append(block)
        size += len(block.rows) * len(block.columns)
        if size >= PAIRS_AT_ONCE:
            take_errors(waiting, distances, errors)
            waiting, size = [], 0
    take_errors(waiting, distances, errors)
    of_pair: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (_, phone, against), found in errors.items():
        of_pair[phone, against].append(float(np.mean(found)))
    if not of_pair:
        return None
    means = np.array([np.mean(found) for found in of_pair.values()])
    low = high = None
    if len(means) > 1:
        drawn = means[np.random.default_rng(0).integers(len(means), size=(1000, len(means)))]
        low, high = (float(edge) for edge in np.percentile(drawn.mean(1), (2.5, 97.5)))
    return ABXScore(float(means.mean()), len(means), low, high)


class PhoneBlock(NamedTuple):
    """Distances that belong together: X along the rows, A and B along the columns.

    Attributes:
        speaker: Of A and B.
        rows: (R,) numbers of items.
        columns: (C,) numbers of items.
        xs: Phone → its rows.
        phones: Phone → its columns.
        same: Rows and columns are the same items.
    """

    speaker: str
    rows: np.ndarray
    columns: np.ndarray
    xs: Mapping[str, slice]
    phones: Mapping[str, slice]
    same: bool


def blocks(
    items: Sequence[Item], across_speakers: bool, any_context: bool, rng: np.random.Generator
) -> Iterator[PhoneBlock]:
    """The blocks of a corpus: of a speaker, or of two, in one context or in all together."""
    groups: dict[Any, dict[str, dict[str, list[int]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for number, item in enumerate(items):
        groups[None if any_context else item.context][item.speaker][item.phone].append(number)
    for speakers in groups.values():
        taken = {
            speaker: {phone: some(members, MAX_GROUP, rng) for phone, members in phones.items()}
            for speaker, phones in speakers.items()
        }
        for speaker, phones in taken.items():
            if len(phones) < 2:
                continue
            columns, places = in_a_row(phones)
            if not across_speakers:
                xs = {phone: place for phone, place in places.items() if len(phones[phone]) > 1}
                if xs:
                    yield PhoneBlock(speaker, columns, columns, xs, places, True)
                continue
            said_by: dict[str, dict[str, list[int]]] = defaultdict(dict)
            for phone in phones:
                others = [one for one in taken if one != speaker and phone in taken[one]]
                for other in some(others, MAX_OTHER_SPEAKERS, rng):
                    said_by[other][phone] = taken[other][phone]
            for theirs in said_by.values():
                rows, xs = in_a_row(theirs)
                yield PhoneBlock(speaker, rows, columns, xs, places, False)


def some(members: list[Any], most: int, rng: np.random.Generator) -> list[Any]:
    """A sample, in order; all where they are few enough."""
    if len(members) <= most:
        return members
    return [members[place] for place in np.sort(rng.choice(len(members), most, replace=False))]


def in_a_row(phones: Mapping[str, list[int]]) -> tuple[np.ndarray, dict[str, slice]]:
    """Numbers of items behind each other, and where each phone's are."""
    ends = np.cumsum([len(members) for members in phones.values()]).tolist()
    starts = [0, *ends[:-1]]
    places = (slice(start, end) for start, end in zip(starts, ends, strict=True))
    return np.concatenate(list(phones.values())), dict(zip(phones, places, strict=True))


def take_errors(
    waiting: Sequence[PhoneBlock],
    distances: Distances,
    errors: dict[tuple[str, str, str], list[float]],
) -> None:
    """Add each block's share of wrong triples, for each pair of phones."""
    if not waiting:
        return
    pairs = [np.meshgrid(block.rows, block.columns, indexing="ij") for block in waiting]
    flat = distances(*(np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1)))
    start = 0
    for block in waiting:
        shape = len(block.rows), len(block.columns)
        whole = flat[start : start + shape[0] * shape[1]].reshape(shape)
        start += shape[0] * shape[1]
        if block.same:  # X is never A; both orders of a pair are one distance
            whole = np.triu(whole, 1) + np.triu(whole, 1).T
            np.fill_diagonal(whole, np.inf)
        for phone, x in block.xs.items():
            to_a = whole[x, block.phones[phone]]
            triples = to_a.size - (len(to_a) if block.same else 0)
            for against, b in block.phones.items():
                if against != phone:
                    to_b = whole[x, b][:, None]
                    right = (to_a[:, :, None] < to_b).sum() + 0.5 * (to_a[:, :, None] == to_b).sum()
                    error = 1 - float(right) / (triples * to_b.shape[-1])
                    errors[block.speaker, phone, against].append(error)


class Distances:
    """Distances of pairs of items.

    Args:
        items: All with vectors (T, D), or all with codes (T,).
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.lengths = np.array([len(item.frames) for item in items])
        self.frames = padded_frames([item.frames for item in items]) if items else np.zeros((0, 0))
        self.between = angles if self.frames.ndim == 3 else different

    def __call__(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(P,) and (P,) numbers of items → (P,) distances."""
        found = np.zeros(len(left), np.float32)
        # Pairs of like lengths together: little is padded.
        order = np.lexsort((self.lengths[right], self.lengths[left]))
        for start in range(0, len(order), PAIRS_AT_ONCE):
            part = order[start : start + PAIRS_AT_ONCE]
            sizes = self.lengths[left[part]], self.lengths[right[part]]
            sides = [
                self.frames[of[part], : size.max()]
                for of, size in zip((left, right), sizes, strict=True)
            ]
            found[part] = warped(self.between(*sides), *sizes)
        return found


def padded_frames(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of different lengths → (number, longest, …), zeros behind each."""
    longest = max(map(len, parts))
    whole = np.zeros((len(parts), longest, *parts[0].shape[1:]), parts[0].dtype)
    for place, part in enumerate(parts):
        whole[place, : len(part)] = part
    return whole


def different(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(P, S) and (P, T) codes → (P, S, T): 0 where they are the same, else 1."""
    return (left[:, :, None] != right[:, None, :]).astype(np.float32)


def angles(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(P, S, D) and (P, T, D) vectors → (P, S, T): angles over π; zero is opposite to all else."""
    left, right = left.astype(np.float32), right.astype(np.float32)
    norms = [np.sqrt(np.square(side).sum(-1, keepdims=True)) for side in (left, right)]
    units = [
        side / np.maximum(norm, np.finfo(np.float32).tiny)
        for side, norm in zip((left, right), norms, strict=True)
    ]
    found = np.arccos(np.clip(np.einsum("psd,ptd->pst", *units), -1, 1)) / np.float32(math.pi)
    none = [norm == 0 for norm in norms]
    one, two = none[0], none[1].transpose(0, 2, 1)
    return np.where(one & two, 0, np.where(one | two, 1, found)).astype(np.float32)


def warped(costs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Dynamic time warping of many pairs at once.

    Args:
        costs: (P, S, T) distances of frames.
        rows: (P,) how many of the S frames are a pair's own.
        columns: (P,) the same of T.

    Returns:
        (P,) float32: the mean distance along the cheapest path. Of equally cheap steps the diagonal
        one is taken, then the one along T.
    """
    # Pairs last: every step below then reads and writes memory in one piece.
    costs = np.ascontiguousarray(costs.transpose(1, 2, 0))
    height, width, number = costs.shape
    total = np.empty((height, width, number), np.float32)
    steps = np.empty((height, width, number), np.int32)
    for i in range(height):
        for j in range(width):
            if i == 0 or j == 0:
                k, m = (0, j - 1) if i == 0 else (i - 1, 0)
                first = i == j == 0
                total[i, j] = costs[i, j] + (0 if first else total[k, m])
                steps[i, j] = 1 if first else steps[k, m] + 1
                continue
            up, diagonal, left = total[i - 1, j], total[i - 1, j - 1], total[i, j - 1]
            total[i, j] = costs[i, j] + np.minimum(np.minimum(up, diagonal), left)
            steps[i, j] = 1 + np.where(
                (diagonal <= left) & (diagonal <= up),
                steps[i - 1, j - 1],
                np.where(left <= up, steps[i, j - 1], steps[i - 1, j]),
            )
    last = (rows - 1, columns - 1, np.arange(number))
    result: np.ndarray = (total[last] / steps[last]).astype(np.float32)
    return result
