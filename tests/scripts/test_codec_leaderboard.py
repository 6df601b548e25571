"""What the leaderboard's script says of language models is what their intervals allow."""

from __future__ import annotations

import codec_leaderboard
import pytest


def spread(mean: float, half: float | None) -> dict:
    ends = (None, None) if half is None else (mean - half, mean + half)
    return {"mean": mean, "low": ends[0], "high": ends[1]}


def facts(bits: float, wer: float, mos: float, half: float | None = 0.05) -> dict:
    own = spread(bits, half and 100 * half)
    own["bits_a_second"] = own.pop("mean")
    return own | {"wer": spread(wer, half), "mos": spread(mos, half)}


def test_systems_are_in_order_and_parted_only_where_intervals_part():
    systems = {"a": facts(500, 0.5, 1.5), "b": facts(400, 0.55, 3.0), "c": facts(300, 0.9, 2.0)}
    bits, wer, mos = codec_leaderboard.conclusion({"systems": systems})
    assert bits.startswith("bit/s, LM, best first: c 300")
    assert [word for word in bits.split() if word in "abc<~"] == ["c", "<", "b", "<", "a"]
    assert [word for word in wer.split() if word in "abc<~"] == ["a", "~", "b", "<", "c"]
    assert [word for word in mos.split() if word in "abc<~"] == ["b", "<", "c", "<", "a"]
    alone = {"a": facts(500, 0.5, 1.5, None), "b": facts(400, 0.9, 3.0, None)}
    for line in codec_leaderboard.conclusion({"systems": alone}):  # one seed parts nothing
        assert "~" in line
        assert "<" not in line
    assert list(codec_leaderboard.conclusion({"error": "too short"})) == ["too short"]


@pytest.mark.parametrize("name", codec_leaderboard.SIZES)
def test_every_size_measures_costly_metrics_on_a_part(name):
    size = codec_leaderboard.SIZES[name]
    assert size.costly <= size.files
    assert size.heard <= size.sentences
    assert size.said < size.sentences / 5  # so many are held out
