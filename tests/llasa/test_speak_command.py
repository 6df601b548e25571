"""`xcodec2 speak`: what it writes and what it refuses."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
import soundfile
from click.testing import CliRunner
from talkers import (
    FEW,
    utterances,
)

from xcodec2.cli import xcodec2

# --- the command ----------------------------------------------------------------------------------


def test_the_command_speaks_and_streams(taught, codec_folder, tmp_path):
    base = ["speak", FEW[2], "--lm", taught, "--model", codec_folder, "--temperature", 0]
    done = CliRunner().invoke(xcodec2, list(map(str, [*base, "-o", tmp_path / "a.wav"])))
    assert done.exit_code == 0, (done.output, done.exception)
    count = len(utterances()[FEW[2]])
    assert done.output == f"{count * 320 / 16_000:.2f} s of speech, {count} tokens\n"
    whole, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert (len(whole), rate) == (count * 320, 16_000)
    done = CliRunner().invoke(
        xcodec2, list(map(str, [*base, "-o", tmp_path / "b.wav", "--stream"]))
    )
    assert done.exit_code == 0, (done.output, done.exception)
    assert "first sound after" in done.output
    assert soundfile.info(tmp_path / "b.wav").frames == len(whole)
    raw = CliRunner().invoke(xcodec2, list(map(str, [*base, "-o", "-"])))
    assert raw.exit_code == 0
    streamed, _ = soundfile.read(tmp_path / "b.wav", dtype="int16")
    sound = streamed.astype("<i2").tobytes()
    assert raw.stdout_bytes[: len(sound)] == sound
    assert len(raw.stdout_bytes) == len(sound) or version("click") < "8.2"  # which adds stderr


def test_the_command_writes_all_scores(taught, codec_folder, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def loud(text, waveform, reference):\n    return float(abs(waveform).mean())\n"
        "def long(text, waveform, reference):\n    return float(len(waveform))\n"
    )
    args = [
        "speak",
        FEW[2],
        "--lm",
        taught,
        "--model",
        codec_folder,
        "-o",
        tmp_path / "a.wav",
        "--temperature",
        1.5,
    ]
    loud, long = f"{tmp_path}/mine.py:loud", f"{tmp_path}/mine.py:long"
    searching = ["--search", "best-of-4", "--verifier", loud, "--report", long]
    done = CliRunner().invoke(xcodec2, list(map(str, [*args, *searching, "--seed", 7])))
    assert done.exit_code == 0, (done.output, done.exception)
    facts = json.loads((tmp_path / "a.wav.json").read_text())
    (piece,) = facts["pieces"]
    assert sorted(item["seed"] for item in piece["candidates"]) == [7, 8, 9, 10]
    scores = [item["scores"][loud] for item in piece["candidates"] if item["finished"]]
    assert scores == sorted(scores, reverse=True)
    assert [item["scores"][long] for item in piece["candidates"]] == [
        320 * i["tokens"] for i in piece["candidates"]
    ]
    assert facts["tokens_generated"] == sum(item["tokens"] for item in piece["candidates"])
    assert (facts["seed"], facts["search"], facts["verifications"]) == (7, "best-of-4", 4)
    assert "(chose)" in done.output
    assert "(did not choose)" in done.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--voice", "x.wav", "--lm", "one/lm"], "belong together"),
        (["--verifier", "wer"], "give --search, too"),
        (["--process-verifier", "wer"], "needs --search"),
        (["--stream", "--search", "best-of-2", "--verifier", "wer"], "leave --stream out"),
        (["--lm", "http://127.0.0.1:9"], "needs --tokenizer"),
        (["--tokenizer", "x"], "needs --tokenizer"),
    ],
)
def test_options_that_contradict_each_other_are_bad_use(args, words, tmp_path):
    done = CliRunner().invoke(xcodec2, ["speak", "Hello.", "-o", str(tmp_path / "a.wav"), *args])
    assert done.exit_code == 2
    assert words in done.output
