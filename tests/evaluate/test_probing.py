"""What codes know, against examples computed by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tiny import SPECTROGRAM, random_model, speech

from xcodec2.corpus import read_corpus
from xcodec2.corpus.labels import Interval, labels_of, phone_of_frames, read_labels
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.probing.codes import code_use, held_out_purity, phone_fit, pnmi_by_chance
from xcodec2.evaluate.probing.linear import linear_probe, with_neighbors

XLABEL = "separator ;\nnfields 1\n#\n0.10000 125 pau\n0.20000 125 a\n0.35000 125 s \n"
HTK = "0 1000000 pau\n1000000 2000000 a\n2000000 3500000 s\n"
TEXTGRID = '''File type = "ooTextFile"
Object class = "TextGrid"
xmin = 0
xmax = 0.35
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.35
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 0.35
            text = "as ""said"""
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.35
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = "pau"
        intervals [2]:
            xmin = 0.1
            xmax = 0.2
            text = "a"
        intervals [3]:
            xmin = 0.2
            xmax = 0.35
            text = "s"
'''


def test_purity_and_pnmi_of_a_hand_computed_example():
    """Ten frames; counts: code 7 → a 3, b 1; code 8 → b 4; code 9 → a 1, c 1.

    Phone purity (3 + 4 + 1)/10. Cluster purity: a 3, b 4, c 1 of 10. Entropies in bits: phones a
    .4, b .5, c .1 → 1.36096; codes .4, .4, .2 → 1.52193; pairs .3, .1, .4, .1, .1 → 2.04644.
    Shared: 0.83645; over the phones' .61460.
    """
    codes = np.array([7, 7, 7, 7, 8, 8, 8, 8, 9, 9])
    phones = np.array(list("aaabbbbbac"))
    fit = phone_fit(codes, phones)
    assert fit.phone_purity == pytest.approx(0.8)
    assert fit.cluster_purity == pytest.approx(0.8)
    assert fit.pnmi == pytest.approx(0.61460, abs=1e-5)
    swapped = phone_fit(phones, codes)
    assert (swapped.phone_purity, swapped.cluster_purity) == pytest.approx((0.8, 0.8))
    assert swapped.pnmi == pytest.approx(0.83645 / 1.52193, abs=1e-4)


def test_perfect_and_useless_codes():
    phones = np.random.default_rng(0).integers(0, 5, 20_000)
    perfect = phone_fit(phones * 13 + 2, phones)
    assert (perfect.phone_purity, perfect.cluster_purity, perfect.pnmi) == pytest.approx((1, 1, 1))
    useless = phone_fit(np.zeros(20_000, int), phones)
    assert useless.pnmi == pytest.approx(0)
    assert useless.cluster_purity == 1  # which is why it is never looked at alone
    unique = phone_fit(np.arange(20_000), phones)
    assert unique.phone_purity == 1  # which is why chance stands beside it
    assert pnmi_by_chance(np.arange(20_000), phones) == pytest.approx(1)
    assert pnmi_by_chance(phones, phones) < 0.01


def test_held_out_purity_learns_on_other_frames():
    codes = np.array([1, 1, 1, 2, 2, 3, 1, 2, 3, 4])
    phones = np.array(list("aabbbbabaa"))
    training = np.arange(10) < 6
    # Learned: 1 → a, 2 → b, 3 → b; 4 is unknown and counts as b, the most frequent. Of a b a a the
    # first two are right.
    assert held_out_purity(codes, phones, training) == 0.5


def test_code_use():
    use = code_use(np.array([5, 5, 5, 5, 6, 6, 7, 8]))
    assert (use.total, use.distinct) == (8, 4)
    assert use.entropy == pytest.approx(0.5 * 1 + 0.25 * 2 + 2 * 0.125 * 3)
    assert code_use(np.arange(65_536)).entropy == pytest.approx(16)
    assert code_use(np.zeros(9, int)).entropy == 0


@pytest.mark.parametrize(
    ("name", "content"), [("x.lab", XLABEL), ("h.lab", HTK), ("t.TextGrid", TEXTGRID)]
)
def test_labels_of_three_kinds_say_the_same(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    found = read_labels(tmp_path / name)
    assert [interval.phone for interval in found] == ["pau", "a", "s"]
    assert [t for i in found for t in (i.start, i.end)] == pytest.approx(
        [0, 0.1, 0.1, 0.2, 0.2, 0.35]
    )
    # Middles of frames of 50 ms: .025 .075 | .125 .175 | .225 .275 .325 | .375, which no label
    # covers
    assert phone_of_frames(found, 8, 20) == ["pau", "pau", "a", "a", "s", "s", "s", None]


def test_gaps_between_labels_have_no_phone():
    intervals = [Interval(0.1, 0.2, "a"), Interval(0.3, 0.4, "b")]
    assert phone_of_frames(intervals, 5, 10) == [None, "a", None, "b", None]
    # It is the middle of a frame that counts, not its start.
    assert phone_of_frames([Interval(0, 0.12, "a"), Interval(0.12, 0.3, "b")], 3, 10) == [
        "a",
        "b",
        "b",
    ]


@pytest.mark.parametrize("content", ["", "#\n", "nothing here", "1 2 three four\nx y z"])
def test_bad_labels_are_named(tmp_path, content):
    (tmp_path / "bad.lab").write_text(content)
    with pytest.raises(XCodec2Error, match=r"bad\.lab: "):
        read_labels(tmp_path / "bad.lab")


def test_labels_are_found_by_column_and_by_folder(tmp_path):
    import soundfile

    for folder in ("audio", "marks"):
        (tmp_path / folder).mkdir()
    soundfile.write(tmp_path / "audio" / "one.wav", speech().numpy()[:8000], 16_000)
    soundfile.write(tmp_path / "audio" / "two.wav", speech().numpy()[8000:16_000], 16_000)
    (tmp_path / "marks" / "one.lab").write_text(XLABEL)
    (tmp_path / "m.tsv").write_text("path\tlab\naudio/one.wav\tmarks/one.lab\naudio/two.wav\t\n")
    one, two = read_corpus(str(tmp_path / "m.tsv"))
    for place in ("lab", str(tmp_path / "marks")):
        assert [interval.phone for interval in labels_of(one, place)] == ["pau", "a", "s"]
        assert labels_of(two, place) is None


def test_probe_reads_what_is_there_and_nothing_else():
    draw = np.random.default_rng(0)
    classes = draw.integers(0, 3, 1500)
    training = np.arange(1500) < 1000
    centers = np.eye(3)[classes] * 3
    assert linear_probe(centers + 0.5 * draw.standard_normal((1500, 3)), classes, training) > 0.97
    blind = linear_probe(draw.standard_normal((1500, 3)), classes, training)
    assert 0.25 < blind < 0.42
    np.testing.assert_array_equal(
        with_neighbors(np.array([[1.0], [2.0], [3.0]]), 1), [[0, 1, 2], [1, 2, 3], [2, 3, 0]]
    )


@pytest.mark.usefixtures("no_page")
def test_knowledge_of_a_model_on_labeled_speech(tmp_path: Path):
    """Labels made from the codes themselves: probes read them, and speakers are told by their
    codes.
    """
    import soundfile

    from xcodec2.evaluate import evaluate

    random_model(SPECTROGRAM).save_pretrained(tmp_path / "model")
    lines = ["id\tpath\tspeaker"]
    draw = np.random.default_rng(0)
    for index in range(24):
        start = int(draw.integers(0, 40_000))
        clip = speech().numpy()[start : start + 16_000]
        low = index % 2  # two voices: one an octave below
        samples = np.repeat(clip, 2)[: len(clip)] if low else clip
        soundfile.write(tmp_path / f"{index}.wav", samples, 16_000)
        lines.append(f"clip-{index}\t{index}.wav\t{'low' if low else 'high'}")
        thirds = "\n".join(
            f"{end:.3f} 125 {phone}" for end, phone in ((0.3, "a"), (0.6, "b"), (1.1, "c"))
        )
        (tmp_path / f"{index}.lab").write_text(f"#\n{thirds}\n")
    (tmp_path / "m.tsv").write_text("\n".join(lines) + "\n")
    summary = evaluate(
        str(tmp_path / "m.tsv"),
        tmp_path / "out",
        models=[str(tmp_path / "model")],
        metrics=(),
        worst=0,
        cost=False,
        phones=str(tmp_path),
    )
    facts = summary["codes"]["model"]
    assert facts["phones"]["frames"] == 24 * 51
    assert facts["phones"]["phones"] == 3
    assert facts["phones"]["pnmi"] <= 1
    assert facts["phones"]["held_out_frames"] % 51 == 0
    assert facts["phones"]["held_out_most_frequent"] == pytest.approx(21 / 51)
    assert facts["speakers"]["probe"] > 0.75 > facts["speakers"]["most_frequent"]
    assert facts["use"]["entropy_bits"] <= math.log2(24 * 51)
