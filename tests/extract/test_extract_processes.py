"""Extraction's processes: what hangs or crashes in one of them costs a row, never a run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from extraction import make_corpus, recording
from hazards import CrashOnce, Fatal, Hang
from paths import HELPERS

from xcodec2.corpus import read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.extract import encoding
from xcodec2.extract.child import Child, Died
from xcodec2.extract.cluster import Encode
from xcodec2.extract.reading import ReadAudio, pieces, read_ahead, read_audio, readers
from xcodec2.extract.worker import surviving


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), 3, 0.2, 0.8, bad=False)


def test_readers_outlive_hanging_and_crashing_decoders(manifest, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HELPERS), *sys.path]))
    good = next(read_corpus(manifest))
    (child,) = readers(1, 16_000)
    try:
        hung = read_audio(recording("h", Hang()), child, 0.5)
        assert hung.error == "source of h: reading it took longer than 0.5 s"
        crash = recording("c", CrashOnce(str(tmp_path / "mark")))
        assert read_audio(crash, child, 60).error == "source of c: reading it crashed with signal 9"
        assert read_audio(crash, child, 60).error == "source of c: read a second time"
        heard = list(read_ahead([good, crash, good], [child], 60))
        assert [h.error is None for h in heard] == [True, False, True]
        assert np.array_equal(heard[2].waveform, good.load().waveform.numpy())
    finally:
        child.stop()
    broken = Child("xcodec2.extract.reading:no_such_function")
    with pytest.raises(XCodec2Error, match=r"AttributeError: .*no_such_function"):
        broken.ask("x")
    with pytest.raises(Died, match="exit code"):
        raise Died(broken.stop())


def test_a_voice_that_averaging_takes_away_is_told_by_the_worker(tmp_path, capfd):
    voice = np.random.default_rng(0).uniform(-0.5, 0.5, 8_000)
    soundfile.write(tmp_path / "a.wav", np.stack([voice, -voice], 1), 16_000)
    (child,) = readers(1, 16_000)
    try:
        found = read_audio(next(read_corpus(tmp_path / "a.wav")), child, 60)
    finally:
        child.stop()
    assert found.num_samples == 8_000
    said = capfd.readouterr().err
    assert said.startswith(f"xcodec2: warning: {tmp_path}/a.wav: the average of its 2 channels is")
    assert said.count("\n") == 1


def test_processes_end_while_a_thread_still_asks():
    """A run that fails ends them under threads that wait for answers: once, and no new ones."""
    child = Child("functools:partial", time.sleep, quiet=True)
    child.ask(0)  # it is up
    process = child.process
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(surviving, 1000, child)
        for closing in [pool.submit(child.close) for _ in range(3)]:
            assert closing.result() is None
        with pytest.raises(XCodec2Error, match="the run has ended"):
            asking.result()
    assert process is not None
    assert process.returncode is not None
    assert child.process is None


def test_pieces_are_cut_by_their_length():
    items = [
        ReadAudio(np.zeros(seconds * 10, np.float32)) for seconds in (300, 250, 60, 700, 1)
    ] + [ReadAudio(None)]
    assert [len(piece) for piece in pieces(items, 10)] == [3, 1, 2]


def test_readers_do_without_torch(manifest):
    """Its import would be most of what a reader costs: seconds, and memory for each."""
    program = (
        "import sys; from xcodec2.corpus import read_corpus\n"
        "from xcodec2.extract.reading import reader\n"
        "from xcodec2.serve.reading import upload_reader\n"
        "recording = next(read_corpus(sys.argv[1]))\n"
        "read, uploaded = reader(16_000)(recording), upload_reader(16_000, 60)\n"
        "assert len(uploaded(open(recording.place.path, 'rb').read())[1]) == len(read[0])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(manifest)], check=True)


@pytest.fixture
def encode() -> Iterator[Encode]:
    """What Ray's actors call."""
    found = Encode(encoding.Settings("nano"))
    yield found
    found.child.stop()


def outcomes_of(encode: Encode, piece: list) -> list:
    block = encode({"unit": [5], "first": [0], "content": [pickle.dumps(piece)]})
    assert (block["unit"], block["first"]) == ([5], [0])
    return pickle.loads(*block["content"])


def test_an_encoder_that_crashes_costs_one_row_on_a_cluster_too(encode, monkeypatch):
    """The recording that kills the encoder is found among its neighbors. A process that only counts
    stands in for the encoder: it dies four times.
    """
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HELPERS), *sys.path]))
    encode.child = Child("hazards:counter")
    good = [ReadAudio(np.zeros(size, np.float32), source=f"{size}") for size in (1, 2, 3)]
    told = encoding.Outcome(
        None, error="source of f: the process that encoded it crashed with signal 11"
    )
    piece = [good[0], Fatal("source of f"), *good[1:]]
    assert outcomes_of(encode, piece) == [1, told, 2, 3]


def test_a_clusters_encoder_gives_the_models_codes(encode, manifest):
    good = [ReadAudio(r.load().waveform.numpy(), source=r.source) for r in read_corpus(manifest)]
    model = encoding.Encoder(encoding.Settings("nano")).model
    for heard, outcome in zip(good, outcomes_of(encode, good), strict=True):
        assert np.array_equal(outcome.codes, model.encode(heard.waveform, 16_000).codes.numpy())
