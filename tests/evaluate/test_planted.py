"""Codecs with planted faults: each is found by the measure that is meant to find it."""

from __future__ import annotations

import numpy as np
import pytest
from planted import planted_corpus, planted_systems

from xcodec2.corpus import read_corpus
from xcodec2.evaluate.audio import load_recording
from xcodec2.evaluate.measure import Speech, measure
from xcodec2.evaluate.metrics.unit_edit import UnitEdit
from xcodec2.evaluate.probing import token_facts
from xcodec2.evaluate.probing.probes import read_phones


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    """Of each system, the facts of its codes, and the means of its edits on three recordings."""
    recordings = list(read_corpus(str(planted_corpus(tmp_path_factory.mktemp("planted")))))
    labels = read_phones(recordings, "phones")
    facts, edits = {}, {}
    for system in planted_systems():
        rows = []
        for number, recording in enumerate(recordings):
            speech = Speech(load_recording(recording)[0], None, None)
            metrics = [UnitEdit()] if number < 3 else []
            found = measure(speech, system, metrics)
            language = "ab"[number % 2]
            columns = {**recording.columns, "language": language}
            rows.append({"id": recording.id, "columns": columns, **found})
        facts[system.name] = token_facts(system, rows, labels)
        names = [name for name in rows[0] if name.startswith("ued_")]
        edits[system.name] = {name: np.mean([row[name] for row in rows[:3]]) for name in names}
    return {"codes": facts, "edits": edits}


def of(summary, part, field):
    return {name: facts[part].get(field) for name, facts in summary["codes"].items()}


def test_abx_finds_the_phone_blind_codec_and_the_one_bound_to_speakers(summary):
    within = of(summary, "abx", "tokens_within_any")
    assert within["oracle"] == within["speaker-blind"] == 0
    assert 0.4 < within["phone-blind"] < 0.6
    assert within["noise-sensitive"] > 0.2
    across = of(summary, "abx", "tokens_across_any")
    assert across["speaker-blind"] == 0
    assert across["oracle"] == 0.5  # its codes of two speakers are never the same


def test_phone_measures_find_the_phone_blind_codec(summary):
    for field in ("held_out_pnmi", "held_out_purity", "pnmi_extrapolated"):
        found = of(summary, "phones", field)
        assert found["phone-blind"] < 0.35 < 0.9 < min(found["oracle"], found["speaker-blind"]), (
            field
        )
    manner = of(summary, "articulation", "manner")
    assert manner["phone-blind"] < 0.6 < 0.95 < manner["oracle"]
    assert of(summary, "articulation", "right_plosive")["oracle"] > 0.95


def test_leakage_finds_all_but_the_speaker_blind_codec(summary):
    for field in ("naive_bayes", "probe"):
        found = of(summary, "speakers", field)
        chance = summary["codes"]["oracle"]["speakers"]["most_frequent"]
        assert found["oracle"] == 1, field
        assert found["speaker-blind"] < 0.75, field
    assert of(summary, "speakers", "naive_bayes")["phone-blind"] == 1
    assert chance < 0.5


def test_unit_edit_distance_finds_the_noise_sensitive_codec_and_the_others_do_not(summary):
    mean = summary["edits"]
    for name in ("oracle", "speaker-blind"):
        assert mean[name]["ued_noise_15"] < 0.05
    assert mean["noise-sensitive"]["ued_noise_25"] > 0.5
    levels = [mean["noise-sensitive"][f"ued_noise_{level}"] for level in (25, 15, 5)]
    assert min(levels) > 0.5
    assert mean["oracle"]["ued_room"] < mean["noise-sensitive"]["ued_room"]
    # What is measured of clean speech alone does not see it.
    phones = of(summary, "phones", "pnmi")
    assert phones["noise-sensitive"] == pytest.approx(phones["oracle"], abs=0.02)


def test_fewer_bits_are_needed_by_codes_that_say_less(summary):
    bits = of(summary, "compression", "ngram_2")
    assert bits["speaker-blind"] < bits["oracle"] < bits["noise-sensitive"]
    merged = of(summary, "compression", "bpe_codes")
    assert merged["noise-sensitive"] < merged["oracle"]


def test_every_language_is_shown_by_itself(summary):
    languages = summary["codes"]["oracle"]["languages"]
    assert set(languages) == {"a", "b"}
    assert languages["a"]["recordings"] + languages["b"]["recordings"] == 36
    assert languages["a"]["abx"]["tokens_within_any"] == 0
