"""What the codes of a run know of phones and speakers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xcodec2.corpus import Recording
from xcodec2.corpus.labels import Interval, labels_of, phone_of_frames
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.probing.codes import code_use, held_out_purity, phone_fit, pnmi_by_chance
from xcodec2.evaluate.probing.linear import linear_probe, with_neighbors
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem

NEIGHBORS = 2  # frames on either side that the second probe is given
TRAINING_SHARE = 0.8
MIN_RECORDINGS = 10  # of each speaker, for the speaker probe


def for_training(identity: str) -> bool:
    """Whether a recording is among the 80 % that probes learn from: by its id, not by its place."""
    return int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) / 16**8 < TRAINING_SHARE


def codebook_use(system: TokenizerSystem, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How the codebook is used.

    Args:
        system: Whose codes the rows hold.
        rows: Of recordings, at least one.

    Returns:
        Counts, entropy in bits, rates in bits a second, and the counts of the 512 most frequent
        codes.
    """
    codes = np.concatenate([np.array(row["codes"]) for row in rows])
    use = code_use(codes)
    frame_rate = system.tokenizer.frame_rate
    counts = np.unique(codes, return_counts=True)[1].tolist()
    return {
        "total": use.total,
        "distinct": use.distinct,
        "codebook_size": system.tokenizer.codebook_size,
        "entropy_bits": use.entropy,
        "bits_a_code": system.bits_per_code,
        "codes_a_second": frame_rate,
        "nominal_bit_rate": frame_rate * system.bits_per_code,
        "entropy_bit_rate": len(codes) / sum(row["seconds"] for row in rows) * use.entropy,
        "most_frequent": sorted(counts, reverse=True)[:512],
    }


def phone_probes(
    system: TokenizerSystem, rows: Sequence[Mapping[str, Any]], labels: Mapping[str, list[Interval]]
) -> dict[str, Any] | None:
    """What codes say of phones: purity, PNMI and probes.

    Args:
        system: Whose codes the rows hold.
        rows: Of recordings.
        labels: Recording's id → its phones.

    Returns:
        Label → number; None when no recording of the rows has phones. There are no probes when
        recordings are too few to be held out, or codes have no features.
    """
    codes, phones, features, around, training = [], [], [], [], []
    for row in rows:
        if row["id"] not in labels:
            continue
        these = np.array(row["codes"])
        named = phone_of_frames(labels[row["id"]], len(these), system.tokenizer.frame_rate)
        known = np.array([phone is not None for phone in named])
        codes.append(these[known])
        phones += [phone for phone in named if phone is not None]
        training.append(np.full(int(known.sum()), for_training(row["id"])))
        if (vectors := system.features(these)) is not None:
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
    }
    if learn.all() or not learn.any():
        return result
    usual = Counter(names[learn].tolist()).most_common(1)[0][0]
    result |= {
        "held_out_frames": int((~learn).sum()),
        "held_out_purity": held_out_purity(all_codes, names, learn),
        "held_out_most_frequent": float(np.mean(names[~learn] == usual)),
    }
    if features:
        result["probe"] = linear_probe(np.concatenate(features), names, learn)
        result["probe_with_neighbours"] = linear_probe(np.concatenate(around), names, learn)
    return result


def speaker_probe(
    system: TokenizerSystem, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """How well a linear probe tells speakers by the mean of a recording's codes.

    Args:
        system: Whose codes the rows hold.
        rows: Of recordings; their column `speaker` counts.

    Returns:
        Label → number; None with fewer than two speakers of ten recordings, or without features.
    """
    named = [row for row in rows if row["columns"].get("speaker")]
    counts = Counter(row["columns"]["speaker"] for row in named)
    enough = [row for row in named if counts[row["columns"]["speaker"]] >= MIN_RECORDINGS]
    speakers = np.array([row["columns"]["speaker"] for row in enough])
    learn = np.array([for_training(row["id"]) for row in enough], dtype=bool)
    if len(set(speakers)) < 2 or learn.all() or not learn.any():
        return None
    vectors = [system.features(np.array(row["codes"])) for row in enough]
    means = np.array([vector.mean(0) for vector in vectors if vector is not None])
    if not len(means):
        return None
    usual = Counter(speakers[learn].tolist()).most_common(1)[0][0]
    return {
        "speakers": len(set(speakers)),
        "recordings": len(enough),
        "probe": linear_probe(means, speakers, learn),
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
