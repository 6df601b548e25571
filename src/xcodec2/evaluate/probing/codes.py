"""What codes are and what they know: how a codebook is used, and how far codes and phones tell each
other.

Purity and PNMI as HuBERT's paper defines them (Hsu et al., 2021). With a codebook as large as the
data both come out high by chance alone: each code that is seen once is pure. So both have company:
PNMI of shuffled phones, and purity of phones that were learned on other recordings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CodeUse:
    """Of the codes of a corpus: how many, how many different ones, and the entropy of their
    distribution in bits.
    """

    total: int
    distinct: int
    entropy: float


def code_use(codes: np.ndarray) -> CodeUse:
    """(T,) integers."""
    _, counts = np.unique(codes, return_counts=True)
    return CodeUse(len(codes), len(counts), entropy(counts))


def entropy(counts: np.ndarray) -> float:
    """Bits, of a distribution given as counts."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


@dataclass(frozen=True)
class PhoneFit:
    """phone_purity: share of frames whose phone is the usual one of their code. cluster_purity:
    share of frames whose code is the usual one of their phone. pnmi: what codes say of the phone,
    as a share of the phones' entropy.
    """

    phone_purity: float
    cluster_purity: float
    pnmi: float


def phone_fit(codes: np.ndarray, phones: np.ndarray) -> PhoneFit:
    """(T,) codes and (T,) phones, both as integers."""
    _, code_of = np.unique(codes, return_inverse=True)
    _, phone_of = np.unique(phones, return_inverse=True)
    number = int(phone_of.max()) + 1
    pairs, joint = np.unique(code_of.astype(np.int64) * number + phone_of, return_counts=True)
    total = len(codes)
    best_of_code, best_of_phone = np.zeros(int(code_of.max()) + 1), np.zeros(number)
    np.maximum.at(best_of_code, pairs // number, joint)
    np.maximum.at(best_of_phone, pairs % number, joint)
    of_codes, of_phones = entropy(np.bincount(code_of)), entropy(np.bincount(phone_of))
    shared = of_codes + of_phones - entropy(joint)
    pnmi = shared / of_phones if of_phones else math.nan
    return PhoneFit(float(best_of_code.sum()) / total, float(best_of_phone.sum()) / total, pnmi)


def pnmi_by_chance(codes: np.ndarray, phones: np.ndarray, seed: int = 0) -> float:
    """The PNMI that these codes have with the same phones in random order."""
    return phone_fit(codes, np.random.default_rng(seed).permutation(phones)).pnmi


def held_out_purity(codes: np.ndarray, phones: np.ndarray, training: np.ndarray) -> float:
    """Share of the frames outside `training`, (T,) bool, whose phone is the usual one of their code
    in `training`.

    A code that is not met there counts as the most frequent phone.
    """
    usual = usual_phones(codes, phones, training)
    return float(np.mean(usual[~training] == phones[~training]))


def usual_phones(codes: np.ndarray, phones: np.ndarray, training: np.ndarray) -> np.ndarray:
    """(T,) the usual phone of each frame's code in `training`, (T,) bool; see `held_out_purity`."""
    _, code_of = np.unique(codes, return_inverse=True)
    names, phone_of = np.unique(phones, return_inverse=True)
    number = int(phone_of.max()) + 1
    usual = np.full(
        int(code_of.max()) + 1, int(np.bincount(phone_of[training], minlength=number).argmax())
    )
    pairs, joint = np.unique(
        code_of[training].astype(np.int64) * number + phone_of[training], return_counts=True
    )
    order = np.argsort(
        joint, kind="stable"
    )  # so that the most frequent pair of a code is written last
    usual[pairs[order] // number] = pairs[order] % number
    return names[usual[code_of]]


def pnmi_extrapolated(codes: np.ndarray, phones: np.ndarray, seed: int = 0) -> float:
    """PNMI of endless data: a + b/n + c/n², fitted to all, a half and a quarter of the frames.

    What Strong et al. (1998) do for spike trains. It takes most of the inflation away; with many
    more codes than frames in a quarter, nothing can.

    Args:
        codes: (T,) integers.
        phones: (T,) phones.
        seed: Of the order in which frames are taken.

    Returns:
        The fit's limit, not below 0.
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    at = []
    for parts in (1, 2, 4):
        found = [
            phone_fit(codes[part], phones[part]).pnmi
            for part in np.array_split(order, parts)
            if len(part)
        ]
        at.append(float(np.nanmean(found)) if not np.isnan(found).all() else math.nan)
    whole, half, quarter = at
    # The parabola through 1/n = 1, 2 and 4, at 0.
    return max(0.0, (8 * whole - 6 * half + quarter) / 3)


def held_out_pnmi(codes: np.ndarray, phones: np.ndarray, training: np.ndarray) -> float:
    """What codes say of the phone on frames outside `training`, as a share of its entropy there.

    The phone's distribution is learned for each code in `training`, with as much of the phones'
    own distribution mixed in as the code has different phones (Witten and Bell, 1991); a code that
    is not met there says nothing. Never above the truth on average, where `pnmi` is never below.

    Args:
        codes: (T,) integers.
        phones: (T,) phones.
        training: (T,) bool.

    Returns:
        1 for certainty; below 0 where the codes mislead.
    """
    _, code_of = np.unique(codes, return_inverse=True)
    _, phone_of = np.unique(phones, return_inverse=True)
    number, size = int(phone_of.max()) + 1, int(code_of.max()) + 1
    prior = np.bincount(phone_of[training], minlength=number) + 1.0
    prior /= prior.sum()
    pairs, joint = np.unique(
        code_of[training].astype(np.int64) * number + phone_of[training], return_counts=True
    )
    total, kinds = np.zeros(size), np.zeros(size)
    np.add.at(total, pairs // number, joint)
    np.add.at(kinds, pairs // number, 1)
    wanted = code_of[~training].astype(np.int64) * number + phone_of[~training]
    place = np.minimum(np.searchsorted(pairs, wanted), max(len(pairs) - 1, 0))
    counted = np.where(pairs[place] == wanted, joint[place], 0) if len(pairs) else 0.0
    code, mine = code_of[~training], prior[phone_of[~training]]
    with np.errstate(invalid="ignore"):
        mixed = (counted + kinds[code] * mine) / (total[code] + kinds[code])
    chance = np.where(total[code] > 0, mixed, mine)
    own = -float(np.log2(mine).mean())
    return 1 + float(np.log2(chance).mean()) / own if own else math.nan


def zipf_slope(counts: np.ndarray) -> float | None:
    """Slope of log frequency over log rank, by least squares weighted with the counts.

    Args:
        counts: (V,) of different codes, falling.

    Returns:
        About -1 for words, 0 where all are alike; None for fewer than two.
    """
    if len(counts) < 2:
        return None
    ranks, values = np.log(np.arange(1, len(counts) + 1)), np.log(counts)
    return float(np.polyfit(ranks, values, 1, w=np.sqrt(counts))[0])


def naive_bayes(codes: Sequence[np.ndarray], classes: np.ndarray, training: np.ndarray) -> float:
    """Share of recordings outside `training` whose class their counts of codes give away.

    Args:
        codes: (T,) integers of each recording.
        classes: (R,) of each recording.
        training: (R,) bool.

    Returns:
        0 to 1. Codes' chances are learned with half a count added to each, classes are alike.
    """
    known, place = np.unique(np.concatenate(codes), return_inverse=True)
    ends = np.cumsum([len(these) for these in codes])
    numbered = np.split(place, ends[:-1])
    names = np.unique(classes[training])
    chances = []
    for name in names:
        mine = [
            these
            for these, one, learn in zip(numbered, classes, training, strict=True)
            if learn and one == name
        ]
        counts = np.bincount(np.concatenate(mine), minlength=len(known)) + 0.5
        chances.append(np.log(counts / counts.sum()))
    tables = np.array(chances)
    right = [
        names[int(tables[:, these].sum(1).argmax())] == one
        for these, one, learn in zip(numbered, classes, training, strict=True)
        if not learn
    ]
    return float(np.mean(right))
