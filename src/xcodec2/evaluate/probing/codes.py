"""What codes are and what they know: how a codebook is used, and how far codes and phones tell each
other.

Purity and PNMI as HuBERT's paper defines them (Hsu et al., 2021). With a codebook as large as the
data both come out high by chance alone: each code that is seen once is pure. So both have company:
PNMI of shuffled phones, and purity of phones that were learned on other recordings.
"""

from __future__ import annotations

import math
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
    _, code_of = np.unique(codes, return_inverse=True)
    _, phone_of = np.unique(phones, return_inverse=True)
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
    return float(np.mean(usual[code_of[~training]] == phone_of[~training]))
