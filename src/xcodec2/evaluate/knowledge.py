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
from xcodec2.evaluate.probe import linear_probe, with_neighbours
from xcodec2.evaluate.systems import CodecSystem
from xcodec2.evaluate.tokens import code_use, held_out_purity, phone_fit, pnmi_by_chance

NEIGHBOURS = 2
TRAINING_SHARE = 0.8
RECORDINGS_A_SPEAKER = 10  # at least, for the speaker probe


def for_training(identity: str) -> bool:
    """Whether a recording is among the 80 % that probes learn from: by its name, not by its place."""
    return int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) / 16**8 < TRAINING_SHARE


def of_codes(system: CodecSystem, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How the codebook is used, with rates in bits a second."""
    codes = np.concatenate([np.array(row["codes"]) for row in rows])
    use = code_use(codes)
    rate = len(codes) / sum(row["seconds"] for row in rows)
    return {
        "total": use.total,
        "distinct": use.distinct,
        "codebook_size": system.model.codebook_size,
        "entropy_bits": use.entropy,
        "bits_a_code": system.bits_per_code,
        "codes_a_second": system.model.frame_rate,
        "nominal_bit_rate": system.model.frame_rate * system.bits_per_code,
        "entropy_bit_rate": rate * use.entropy,
        "most_frequent": sorted(np.unique(codes, return_counts=True)[1].tolist(), reverse=True)[
            :512
        ],
    }


def of_phones(
    system: CodecSystem, rows: Sequence[Mapping[str, Any]], labels: Mapping[str, list[Interval]]
) -> dict[str, Any] | None:
    """Purity, PNMI and probes against the labels, id → intervals; None when no recording of the
    rows has any.
    """
    codes, phones, digits, around, training = [], [], [], [], []
    for row in rows:
        if row["id"] not in labels:
            continue
        these = np.array(row["codes"])
        named = phone_of_frames(labels[row["id"]], len(these), system.model.frame_rate)
        known = np.array([phone is not None for phone in named])
        one_hot = system.digits(these)
        codes.append(these[known])
        phones += [phone for phone in named if phone is not None]
        digits.append(one_hot[known])
        around.append(with_neighbours(one_hot, NEIGHBOURS)[known])
        training.append(np.full(int(known.sum()), for_training(row["id"])))
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
    return result | {
        "held_out_frames": int((~learn).sum()),
        "held_out_purity": held_out_purity(all_codes, names, learn),
        "held_out_most_frequent": float(np.mean(names[~learn] == usual)),
        "probe": linear_probe(np.concatenate(digits), names, learn),
        "probe_with_neighbours": linear_probe(np.concatenate(around), names, learn),
    }


def of_speakers(system: CodecSystem, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How well a linear probe tells speakers by the mean of a recording's codes; None with fewer
    than two speakers.
    """
    named = [row for row in rows if row["columns"].get("speaker")]
    counts = Counter(row["columns"]["speaker"] for row in named)
    enough = [row for row in named if counts[row["columns"]["speaker"]] >= RECORDINGS_A_SPEAKER]
    speakers = np.array([row["columns"]["speaker"] for row in enough])
    learn = np.array([for_training(row["id"]) for row in enough], dtype=bool)
    if len(set(speakers)) < 2 or learn.all() or not learn.any():
        return None
    means = np.stack([system.digits(np.array(row["codes"])).mean(0) for row in enough])
    usual = Counter(speakers[learn].tolist()).most_common(1)[0][0]
    return {
        "speakers": len(set(speakers)),
        "recordings": len(enough),
        "probe": linear_probe(means, speakers, learn),
        "most_frequent": float(np.mean(speakers[~learn] == usual)),
    }


def labelled(recordings: Sequence[Recording], phones: str) -> dict[str, list[Interval]]:
    """Id → labels, of the recordings that have some.

    Raises XCodec2Error for labels that cannot be read, or none.
    """
    found = {recording.id: labels_of(recording, phones) for recording in recordings}
    labels = {name: intervals for name, intervals in found.items() if intervals}
    if not labels:
        raise XCodec2Error(
            f"no recording has phone labels in {phones!r}: it is neither a column nor a folder of them"
        )
    return labels
