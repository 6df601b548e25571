"""Protocols: a miniature of each runs, and whatever is not the protocol is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
from click.testing import CliRunner
from tiny import speech

from xcodec2 import evaluators
from xcodec2.cli import xcodec2
from xcodec2.errors import RecipeError, XCodec2Error
from xcodec2.evaluate import FunctionSystem, evaluate
from xcodec2.evaluate.protocol import protocol_names, read_protocol

QUICK = {"models": (), "cost": False, "worst": 0}


class Typist:
    name, implementation, languages = "typist", "typist 1 at 0123abcd", frozenset({"en"})

    def transcribe(self, waveform: np.ndarray) -> str:
        return "one two three"


class Ear:
    name, implementation = "ear", "ear 1"

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        return np.array([1, 0], np.float32)


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    """Three clips with texts, and judges that need no weights."""
    monkeypatch.setattr(evaluators, "asr", lambda name: Typist())
    monkeypatch.setattr(evaluators, "speaker_encoder", lambda name: Ear())
    lines = ["id\tpath\ttext\tlanguage"]
    for number in range(3):
        start = 20_000 * number
        clip = speech().numpy()[start : start + 30_000]
        soundfile.write(tmp_path / f"{number}.wav", clip, 16_000, subtype="FLOAT")
        lines.append(f"c{number}\t{number}.wav\tone two four\ten-US")
    (tmp_path / "m.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path / "m.tsv"


def run(corpus: Path, protocol: str, **options):
    system = FunctionSystem("half", lambda waveform: waveform / 2, bit_rate=800)
    return evaluate(
        str(corpus), corpus.parent / "out", systems=[system], protocol=protocol, **QUICK, **options
    )


def miniature(corpus: Path, name: str, more: str = "") -> str:
    path = corpus.parent / "mini.toml"
    path.write_text(f'base = "{name}"\ntitle = "a miniature"\n[corpus]\nrecordings = 3\n{more}')
    return str(path)


@pytest.mark.parametrize("name", protocol_names())
def test_a_miniature_of_each_protocol_runs_and_the_report_says_what_it_was(corpus, name):
    summary = run(corpus, miniature(corpus, name))
    protocol = summary["protocol"]
    assert protocol["corpus"]["recordings"] == 3
    assert set(protocol["headline"]) <= set(summary["systems"]["half"]["metrics"])
    page = (corpus.parent / "out" / "report.html").read_text(encoding="utf-8")
    assert summary["corpus_sha256"] in page
    for row in protocol["published"]:
        assert f"published: {row['source']}, {row['date']}" in page.replace("&#x27;", "'")
    saved = json.loads((corpus.parent / "out" / "summary.json").read_text(encoding="utf-8"))
    assert saved["protocol"] == protocol


def test_the_built_in_ones_are_the_four_of_the_help_and_say_their_sources():
    assert protocol_names() == [
        "codec-superb",
        "dasb-asr",
        "librispeech-test-clean",
        "seed-tts-eval",
    ]
    text = CliRunner().invoke(xcodec2, ["evaluate", "--help"]).output
    for name in protocol_names():
        assert name in "".join(text.split())
        protocol = read_protocol(name)
        assert protocol.source.startswith("https://")
        assert all(row.source and row.date for row in protocol.published)


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ({"metrics": ("mel",)}, "fixes metrics to pesq, stoi, not mel"),
        ({"sample": 2}, "fixes sample to all, not 2"),
        ({"costly_sample": 2}, "fixes costly_sample"),
        ({"seconds": (0.0, 3.0)}, "fixes seconds to all, not 0.0, 3.0"),
        ({"channel": 0}, "fixes channel"),
        ({"asr": "pocketsphinx"}, "fixes asr to moonshine"),
    ],
)
def test_options_that_are_not_the_protocols_are_refused(corpus, option, wanted):
    with pytest.raises(XCodec2Error, match=wanted):
        run(corpus, miniature(corpus, "codec-superb"), **option)
    assert not (corpus.parent / "out").exists()


def test_another_corpus_is_refused(corpus, no_page):
    with pytest.raises(XCodec2Error, match="2620 recordings, and this corpus 3"):
        run(corpus, "librispeech-test-clean")
    good = corpus.read_text()
    corpus.write_text(good.replace("one two four", "", 1))
    with pytest.raises(XCodec2Error, match="column text of every recording; c0 has none"):
        run(corpus, miniature(corpus, "librispeech-test-clean"))
    corpus.write_text(good.replace("en-US", "fr", 1))
    with pytest.raises(XCodec2Error, match="is in en; c0 is in fr"):
        run(corpus, miniature(corpus, "librispeech-test-clean"))
    corpus.write_text(good)
    digest = run(corpus, miniature(corpus, "codec-superb"))["corpus_sha256"]
    exact = miniature(corpus, "codec-superb", f'sha256 = "{digest}"\n')
    assert run(corpus, exact)["corpus_sha256"] == digest
    (corpus.parent / "0.wav").rename(corpus.parent / "9.wav")
    corpus.write_text(good.replace("0.wav", "9.wav").replace("c0", "other"))
    assert run(corpus, exact)["corpus_sha256"] == digest  # names are not what is compared
    soundfile.write(corpus.parent / "9.wav", speech().numpy()[:30_001], 16_000, subtype="FLOAT")
    with pytest.raises(XCodec2Error, match="has other recordings: its digest is"):
        run(corpus, exact)


def test_a_list_of_files_is_held_to_the_last_one(corpus, no_page):
    run(corpus, miniature(corpus, "codec-superb"))
    table = pyarrow.parquet.read_table(corpus.parent / "out" / "rows.parquet")
    contents = {row["id"]: row["content"][:12] for row in table.to_pylist()}
    listed = "\n".join(f'"{name}" = "{digest}"' for name, digest in contents.items())
    exact = miniature(corpus, "codec-superb", f"[corpus.files]\n{listed}\n")
    summary = run(corpus, exact)
    assert summary["protocol"]["corpus"]["files"] == 3
    assert summary["protocol"]["aggregate"] == "means of recordings, error rates pooled"
    for change, wanted in {
        ('"c1"', '"c9"'): "this corpus lacks c9$",
        (f'"c1" = "{contents["c1"]}"\n', ""): "this corpus has besides c1$",
        (contents["c2"], "0" * 12): "has other samples of c2$",
    }.items():
        other = miniature(corpus, "codec-superb", f"[corpus.files]\n{listed.replace(*change)}\n")
        with pytest.raises(XCodec2Error, match=wanted):
            run(corpus, other)


def test_another_judge_or_none_is_refused(corpus, monkeypatch, no_page):
    pinned = miniature(corpus, "dasb-asr", '[judges.versions]\nwer = "typist 1 at 0123"\n')
    assert run(corpus, pinned)["protocol"]["judges"]["versions"] == {"wer": "typist 1 at 0123"}
    other = miniature(corpus, "dasb-asr", '[judges.versions]\nwer = "typist 2"\n')
    with pytest.raises(XCodec2Error, match="needs wer by typist 2; here is typist 1 at"):
        run(corpus, other)

    def missing(name: str):
        raise XCodec2Error("no weights")

    monkeypatch.setattr(evaluators, "asr", missing)
    with pytest.raises(XCodec2Error, match="needs wer, which cannot be measured here: no weights"):
        run(corpus, pinned)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('base = "codec-superb"\nsample_rate = 8000', "must be one of 16000"),
        ('base = "codec-superb"\ntrimming = "vad"', "must be one of 'none'"),
        ('base = "codec-superb"\nheadline = ["utmos"]', "no columns are called utmos"),
        ('base = "codec-superb"\n[judges]\nmetrics = ["visqol"]', "no metrics are called visqol"),
        ('title = "x"', "lacks source"),
        ('base = "codec-superb"\ntypo = 1', "unknown typo"),
    ],
)
def test_files_that_are_no_protocol_are_refused(tmp_path, text, wanted):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(RecipeError, match=wanted):
        read_protocol(str(tmp_path / "p.toml"))
    with pytest.raises(RecipeError, match="one of codec-superb, dasb-asr"):
        read_protocol("nothing")
