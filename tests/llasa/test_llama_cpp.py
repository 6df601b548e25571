"""The back end over HTTP with a real llama.cpp server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner
from paths import HELPERS
from serving import running, samples_of
from talkers import (
    CODEBOOK,
    FEW,
    SAID,
    TEACHING,
    TEXTS,
    small_codec,
    teach,
    utterances,
    write_track_codes,
)

from xcodec2.cli import xcodec2
from xcodec2.cli.serve import load_models
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.backends.server import Server
from xcodec2.llasa.export.gguf import write_gguf
from xcodec2.llasa.lm import load_lm
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.track import phoneme_tokenizer
from xcodec2.llasa.training.prepare import prepare
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.train import train
from xcodec2.serve import create_app
from xcodec2.serve.engine import STREAM_STEP

GREEDY = Sampling(temperature=0)


def llama_server(folder: Path, gguf: Path, *, q8: bool = False) -> Iterator[Server]:
    """llama.cpp serving the LM of a folder."""
    lm = load_lm(folder)
    write_gguf(lm, gguf, full=not q8, q8=q8)
    script = HELPERS / "llama_server.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(gguf)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = process.stdout.readline().strip()
        assert address, "llama.cpp did not load the model"
        yield Server(address, lm.prompts, lm.metadata)
    finally:
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def server(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from llama_server(taught, tmp_path_factory.mktemp("gguf") / "taught.gguf")


def test_llama_cpp_speaks_what_was_learned(server, taught):
    asked = [server.prompts.prompt(text) for text in FEW]
    served = server.generate(asked, [0] * len(asked), GREEDY)
    here = InProcess(load_lm(taught)).generate(asked, [0] * len(asked), GREEDY)
    for item, own, codes in zip(served, here, utterances().values(), strict=True):
        assert item.codes.tolist() == own.codes.tolist() == codes.tolist()
        assert item.finished


def test_eight_bits_speak_what_was_learned(tmp_path, taught):
    served = llama_server(taught, tmp_path / "q8.gguf", q8=True)
    (made,) = (server := next(served)).generate([server.prompts.prompt(FEW[0])], [0], GREEDY)
    assert made.codes.tolist() == utterances()[FEW[0]].tolist()
    served.close()


def test_llama_cpp_streams_stops_and_repeats_itself(server):
    prompt = server.prompts.prompt(FEW[0])
    assert list(server.stream(prompt, 0, GREEDY)) == utterances()[FEW[0]].tolist()
    (cut,) = server.generate([prompt], [0], Sampling(temperature=0, max_tokens=7))
    assert (len(cut.codes), cut.finished) == (7, False)
    warm = Sampling(temperature=1.2, top_k=3, max_tokens=40)
    drawn = [server.one(prompt, seed, warm).codes.tolist() for seed in (1, 1)]
    assert drawn[0] == drawn[1]


def test_llama_cpp_gives_whole_speech(server, tmp_path, taught):
    speaker = Speaker(server, small_codec())
    spoken = speaker.speak(FEW[1], sampling=GREEDY)
    assert spoken.codes.tolist() == utterances()[FEW[1]].tolist()
    small_codec().save_pretrained(tmp_path / "codec")
    args = [
        "speak",
        FEW[1],
        "-o",
        tmp_path / "a.wav",
        "--model",
        tmp_path / "codec",
        "--temperature",
        0,
    ]
    done = CliRunner().invoke(
        xcodec2, list(map(str, [*args, "--lm", server.name, "--tokenizer", taught]))
    )
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"{len(spoken.codes)} tokens" in done.output


def test_serve_in_front_of_llama_cpp_sends_what_was_learned(server, taught, codec_folder):
    """`xcodec2 serve --lm URL`: texts at the same time, each the sound of its own codes."""
    options = {"tokenizer": str(taught), "model_name": str(codec_folder), "device": "cpu"}
    loaded = load_models(lm=server.name, ctc=None, lm_key=None, **options)
    app = create_app(loaded.speaker, warm=False)
    body = {"temperature": 0, "response_format": "pcm", "sample_rate": 16_000}
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:

        def ask(text: str) -> bytes:
            answer = client.post("/v1/audio/speech", json=body | {"input": text})
            assert answer.status_code == 200, answer.text
            return answer.content

        with ThreadPoolExecutor(len(FEW)) as pool:
            sounds = list(pool.map(ask, FEW))
    for sound, codes in zip(sounds, utterances().values(), strict=True):
        stream = loaded.codec.decoder_stream(step=STREAM_STEP)  # windows: this codec has no limit
        expected = torch.cat([stream.push(codes), stream.finish()]).clamp(-1, 1).numpy()
        np.testing.assert_allclose(samples_of(sound), expected, atol=1e-4)


@pytest.mark.slow
def test_twenty_utterances_come_back_through_both_back_ends(tmp_path):
    folder = teach(tmp_path, TEXTS, steps=1200, batch=4)
    lm, wanted = load_lm(folder), list(utterances(TEXTS).values())
    asked = [lm.prompts.prompt(text) for text in TEXTS]
    served = llama_server(folder, tmp_path / "twenty.gguf")
    for backend in (InProcess(lm), next(served)):
        made = backend.generate(asked, [0] * 20, GREEDY)
        equal = sum(
            int((item.codes[: len(codes)] == codes[: len(item.codes)]).sum())
            for item, codes in zip(made, wanted, strict=True)
        )
        assert equal / sum(map(len, wanted)) >= 0.95, backend.name
    served.close()


@pytest.mark.slow
def test_a_track_comes_back_through_both_back_ends(tmp_path):
    """A model that has learned five tracks by heart copies their phonemes without a guide."""
    tokenizer = phoneme_tokenizer(CODEBOOK)
    source = write_track_codes(tmp_path)
    prepare(source, tmp_path / "rows", tokenizer, length=256, validation=0, track=True)
    settings = TEACHING | {"steps": 250, "one_voice": True}
    recipe = LlasaRecipe(out=str(tmp_path / "run"), rows=[str(tmp_path / "rows")], **settings)
    folder = train(recipe)
    here = InProcess(load_lm(folder))
    asked = [here.prompts.prompt(phonemes) for _, phonemes in SAID]
    wanted = pyarrow.parquet.read_table(source)["codes"].to_pylist()
    served = llama_server(folder, tmp_path / "track.gguf")
    for backend in (here, next(served)):
        made = backend.generate(asked, [0] * len(asked), GREEDY)
        assert [item.codes.tolist() for item in made] == wanted, backend.name
        assert all(item.finished for item in made)
    served.close()
