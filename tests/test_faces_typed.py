"""A program that uses every face of the package passes strict mypy, as do the docs' examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from docs_blocks import PAGES, blocks

import xcodec2

CONSUMER = """
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import xcodec2
from xcodec2 import Codes, XCodec2Config, XCodec2Error, XCodec2Model
from xcodec2.audio import Audio, load_audio, save_audio
from xcodec2.corpus import Recording, read_corpus
from xcodec2.evaluate import Column, FunctionSystem, Metric, Pair, System, evaluate
from xcodec2.evaluate import TokenizerSystem
from xcodec2.extract import Extraction, extract, open_extraction
from xcodec2.llasa import LlasaError, Sampling, Search, Speaker, Spoken, Voice
from xcodec2.onnx import OnnxCodec
from xcodec2.onnx.export import export
from xcodec2.tokenizer import SpeechTokenizer
from xcodec2.train import Recipe, read_recipe, train

version: str = xcodec2.__version__
model: XCodec2Model = XCodec2Model.from_pretrained("nano", device="cpu", dtype=torch.float32)
config: XCodec2Config = model.config
audio: Audio = load_audio("speech.wav", target_rate=model.sample_rate)
one: Codes = model.encode("speech.wav")
several: list[Codes] = model.encode([audio.waveform, audio.waveform], sample_rate=16_000)
waveform: torch.Tensor = model.decode(one)
waveforms: list[torch.Tensor] = model.decode(several)
stream: Iterator[torch.Tensor] = model.stream_decode([one.codes])
save_audio(Path("again.wav"), waveform, model.sample_rate)

recordings: list[Recording] = list(read_corpus("corpus/manifest.tsv"))
counts: dict[str, Any] = extract("corpus/manifest.tsv", Path("tokens"), workers=1)
tokens: Extraction = open_extraction("tokens")
loaded: Codes = tokens.load("hello.flac")

recipe: Recipe = read_recipe("finetune", ["run.steps=2"])
trained: Path = train(recipe, resume=True)
mine: XCodec2Model = XCodec2Model.from_pretrained(trained)


class Peak(Metric):
    name, implementation = "peak", "1"
    columns = (Column("peak_ratio", "peak", digits=2),)

    def __call__(self, pair: Pair) -> dict[str, float]:
        return {"peak_ratio": float(abs(pair.decoded).max())}


def quieter(waveform: np.ndarray) -> np.ndarray:
    return waveform / 2


tokenizers: list[SpeechTokenizer] = [model, OnnxCodec("exported")]
systems: list[System] = [
    TokenizerSystem("mine", tokenizers[0], key="1"),
    FunctionSystem("quieter", quieter),
]
summary: dict[str, Any] = evaluate(recordings, "report", systems=systems, metrics=["stoi", Peak])

speaker: Speaker = Speaker.from_pretrained(None, model, device="cpu")
remote: Speaker = Speaker.connect("http://127.0.0.1:8000", "runs/mine/model")
voice: Voice = speaker.voice("me.wav", "What I say in it.")
try:
    warm = Sampling(temperature=0.5)
    spoken: Spoken = speaker.speak("Hello.", voice=voice, sampling=warm, seed=1)
    sound: torch.Tensor = spoken.waveform
    search: Search = Search.parse("best-of-4")
except (LlasaError, XCodec2Error):
    raise
pieces: Iterator[torch.Tensor] = speaker.stream("Hello.", voice=voice)
files: list[Path] = export("nano", "exported")
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mypy's cache, so that torch is read once."""
    return tmp_path_factory.mktemp("mypy")


def strict_mypy(folder: Path, cache: Path) -> str:
    """What strict mypy says of the scripts in a folder; "" if nothing."""
    arguments = ["--strict", "--config-file=", "--follow-imports=silent", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments, f"--cache-dir={cache}", "."],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"MYPYPATH": str(Path(xcodec2.__file__).parents[1]), "PATH": ""},
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_program_that_uses_every_face_passes_strict_mypy(tmp_path, cache):
    (tmp_path / "consumer.py").write_text(CONSUMER)
    assert strict_mypy(tmp_path, cache) == ""
    wrong = CONSUMER.replace("one: Codes = model.encode", "one: int = model.encode")
    (tmp_path / "consumer.py").write_text(wrong)
    assert "error: Incompatible types in assignment" in strict_mypy(tmp_path, cache)


@pytest.mark.slow
def test_examples_of_the_python_page_pass_strict_mypy(tmp_path, cache):
    page = blocks(PAGES["docs/guides/python.md"])
    assert [block.language for block in page] == ["python"] * 11
    number = 0
    for block in page:
        number += "import" in block.content  # one without goes on from the one before
        with (tmp_path / f"example_{number}.py").open("a") as file:
            file.write(block.content)
    assert strict_mypy(tmp_path, cache) == ""


def test_faces_show_what_they_have():
    import xcodec2.llasa

    assert dir(xcodec2) == sorted(xcodec2.__all__)
    for module in (xcodec2, xcodec2.llasa):
        assert set(module.__all__) <= set(dir(module))
