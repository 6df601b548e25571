"""What the codes of a run know of phones and speakers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from xcodec2.corpus import Recording
from xcodec2.corpus.labels import Interval, labels_of, phone_of_frames
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.probing.codes import (
    code_use,
    held_out_pnmi,
    held_out_purity,
    naive_bayes,
    phone_fit,
    pnmi_by_chance,
    pnmi_extrapolated,
    zipf_slope,
)
from xcodec2.evaluate.probing.linear import linear_probe, with_neighbors
from xcodec2.evaluate.probing.metric import TokenMetric, Tokens
from xcodec2.evaluate.probing.split import for_training
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem

NEIGHBORS = 2  # frames on either side that the second probe is given
MIN_RECORDINGS = 10  # of each speaker, for the speaker probe


class CodebookUse(TokenMetric):
    """How a codebook is used: counts, entropy, rates, and the slope of Zipf's law."""

    name = "use"
    lines: ClassVar[Mapping[str, str]] = {
        "codes": "total:,",
        "different codes": "distinct:,",
        "of a codebook of": "codebook_size:,",
        "entropy, bits a code": "entropy_bits:.2f",
        "bits a code": "bits_a_code:.0f",
        "codes a second": "codes_a_second:g",
        "nominal bit/s": "nominal_bit_rate:.0f",
        "bit/s after entropy coding": "entropy_bit_rate:.0f",
        "Zipf slope (words: about −1)": "zipf_slope:.2f",
    }
    of_languages: ClassVar[Mapping[str, str]] = {"entropy_bits": "entropy, bits a code"}

    def __call__(self, tokens: Tokens) -> dict[str, Any]:
        """Counts, entropy in bits, rates in bits a second, and the 512 largest counts."""
        codes = np.concatenate(tokens.codes)
        use = code_use(codes)
        bits, size = tokens.system.bits_per_code, tokens.system.tokenizer.codebook_size
        counts = np.sort(np.unique(codes, return_counts=True)[1])[::-1]
        return {
            "total": use.total,
            "distinct": use.distinct,
            "codebook_size": size,
            "entropy_bits": use.entropy,
            "bits_a_code": bits,
            "codes_a_second": tokens.frame_rate,
            "nominal_bit_rate": tokens.frame_rate * bits,
            "entropy_bit_rate": len(codes) / tokens.seconds * use.entropy,
            "zipf_slope": zipf_slope(counts),
            "most_frequent": counts[:512].tolist(),
        }


class PhoneKnowledge(TokenMetric):
    """What codes say of phones: purity, PNMI and probes."""

    name = "phones"
    lines: ClassVar[Mapping[str, str]] = {
        "phones: labeled frames": "frames:,",
        "phones: different phones": "phones:d",
        "phone purity": "phone_purity:.3f",
        "cluster purity": "cluster_purity:.3f",
        "PNMI": "pnmi:.3f",
        "PNMI by chance (phones shuffled)": "pnmi_by_chance:.3f",
        "PNMI extrapolated to endless data": "pnmi_extrapolated:.3f",
        "PNMI on held-out recordings": "held_out_pnmi:.3f",
        "phone purity on held-out recordings": "held_out_purity:.3f",
        "linear probe of the phone": "probe:.3f",
        "linear probe, two frames either side": "probe_with_neighbours:.3f",
        "always the most frequent phone": "held_out_most_frequent:.3f",
    }
    of_languages: ClassVar[Mapping[str, str]] = {
        "pnmi": "PNMI",
        "held_out_purity": "phone purity, held out",
    }

    def __call__(self, tokens: Tokens) -> dict[str, Any] | None:
        """Label → number; None when no recording has phones.

        There are no probes when recordings are too few to be held out, or codes have no features.
        """
        return phone_probes(tokens.system, tokens)


def phone_probes(system: TokenizerSystem, tokens: Tokens) -> dict[str, Any] | None:
    """See `PhoneKnowledge`."""
    codes, phones, features, around, training = [], [], [], [], []
    for row, these in zip(tokens.rows, tokens.codes, strict=True):
        if row["id"] not in tokens.labels:
            continue
        named = phone_of_frames(tokens.labels[row["id"]], len(these), tokens.frame_rate)
        known = np.array([phone is not None for phone in named])
        codes.append(these[known])
        phones += [phone for phone in named if phone is not None]
        training.append(np.full(int(known.sum()), for_training(row["id"])))
        if not tokens.brief and (vectors := system.features(these)) is not None:
            features.append(vectors[known])
            around.append(with_neighbors(vectors, NEIGHBORS)[known])
    if not phones:
        return None
    all_codes, names, learn = np.concatenate(codes), np.array(phones), np.concatenate(training)
    fit = phone_fit(all_codes, names)
    result: dict[str, Any] = {
        "frames": len(names),
        "phones": len(set(phones)),
        "recordings": len(codes),
        "phone_purity": fit.phone_purity,
        "cluster_purity": fit.cluster_purity,
        "pnmi": fit.pnmi,
        "pnmi_by_chance": pnmi_by_chance(all_codes, names),
        "pnmi_extrapolated": pnmi_extrapolated(all_codes, names),
    }
    if learn.all() or not learn.any():
        return result
    usual = Counter(names[learn].tolist()).most_common(1)[0][0]
    result |= {
        "held_out_frames": int((~learn).sum()),
        "held_out_purity": held_out_purity(all_codes, names, learn),
        "held_out_pnmi": held_out_pnmi(all_codes, names, learn),
        "held_out_most_frequent": float(np.mean(names[~learn] == usual)),
    }
    if features:
        result["probe"] = linear_probe(np.concatenate(features), names, learn)
        result["probe_with_neighbours"] = linear_probe(np.concatenate(around), names, learn)
    return result


class SpeakerLeakage(TokenMetric):
    """How far codes tell who speaks: a linear probe of a recording's mean digits, and naive Bayes
    on its counts of codes, which any codebook allows.
    """

    name = "speakers"
    lines: ClassVar[Mapping[str, str]] = {
        "speakers": "speakers:d",
        "linear probe of the speaker": "probe:.3f",
        "naive Bayes of the speaker, on counts of codes": "naive_bayes:.3f",
        "always the most frequent speaker": "most_frequent:.3f",
    }

    def __call__(self, tokens: Tokens) -> dict[str, Any] | None:
        """Label → number; None with fewer than two speakers of ten recordings.

        There is no linear probe of codes without features.
        """
        return speaker_probe(tokens.system, tokens.rows)


def speaker_probe(
    system: TokenizerSystem, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """See `SpeakerLeakage`."""
    named = [row for row in rows if row["columns"].get("speaker")]
    counts = Counter(row["columns"]["speaker"] for row in named)
    enough = [row for row in named if counts[row["columns"]["speaker"]] >= MIN_RECORDINGS]
    speakers = np.array([row["columns"]["speaker"] for row in enough])
    learn = np.array([for_training(row["id"]) for row in enough], dtype=bool)
    if len(set(speakers)) < 2 or learn.all() or not learn.any():
        return None
    codes = [np.array(row["codes"]) for row in enough]
    vectors = [system.features(these) for these in codes]
    means = np.array([vector.mean(0) for vector in vectors if vector is not None])
    usual = Counter(speakers[learn].tolist()).most_common(1)[0][0]
    return {
        "speakers": len(set(speakers)),
        "recordings": len(enough),
        **({"probe": linear_probe(means, speakers, learn)} if len(means) else {}),
        "naive_bayes": naive_bayes(codes, speakers, learn),
        "most_frequent": float(np.mean(speakers[~learn] == usual)),
    }


def read_phones(recordings: Sequence[Recording], phones: str) -> dict[str, list[Interval]]:
    """Read the phones of all recordings that have some.

    Args:
        recordings: Of the corpus.
        phones: A column, or a folder with label files.

    Returns:
        Recording's id → its phones.

    Raises:
        XCodec2Error: Labels cannot be read, or there are none.
    """
    found = {recording.id: labels_of(recording, phones) for recording in recordings}
    labels = {name: intervals for name, intervals in found.items() if intervals}
    if not labels:
        raise XCodec2Error(
            f"no recording has phone labels in {phones!r}: it is neither a column nor a folder of "
            "them"
        )
    return labels
