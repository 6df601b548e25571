"""Intelligibility: one wrapper for training, evaluation and the command line."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import speech

import xcodec2
from xcodec2.errors import UndefinedError
from xcodec2.signal.stoi import estoi, stoi

RATE = 16_000


def clip_with_a_pause() -> tuple[np.ndarray, np.ndarray]:
    clip = speech().numpy()
    worse = clip + 0.01 * np.random.default_rng(0).standard_normal(len(clip)).astype(np.float32)
    worse[8000:24_000] = 0  # a silent second, which pystoi fills with noise of its own
    return clip, worse


def test_the_same_number_in_every_call_and_the_callers_generator_left_alone():
    clip, worse = clip_with_a_pause()
    np.random.seed(1)
    first, drawn = estoi(clip, worse, RATE), np.random.random()
    np.random.seed(2)
    assert estoi(clip, worse, RATE) == first
    np.random.seed(1)
    assert np.random.random() == drawn


@pytest.mark.parametrize("measure", [stoi, estoi])
def test_what_has_no_value_has_a_reason(measure):
    clip = speech().numpy()
    with pytest.raises(UndefinedError, match="the decoded waveform is silent"):
        measure(clip, 0 * clip, RATE)
    with pytest.raises(UndefinedError, match="the decoded waveform is silent"):
        measure(clip, np.full_like(clip, 0.25), RATE)  # an offset is no sound either
    with pytest.raises(UndefinedError, match="the original waveform is silent"):
        measure(0 * clip, clip, RATE)
    with pytest.raises(UndefinedError, match="fewer than 30 frames"):
        measure(clip[20_000:24_000], clip[20_000:24_000], RATE)
    with pytest.raises(UndefinedError, match="fewer than 30 frames"):
        measure(clip[20_000:20_100], clip[20_000:20_100], RATE)
    with pytest.raises(UndefinedError, match="not finite"):
        measure(clip, np.where(np.arange(len(clip)) == 9, np.nan, clip), RATE)
    with pytest.raises(UndefinedError, match="equally long"):
        measure(clip, clip[1:], RATE)


def test_training_validates_with_the_clips_that_have_a_value(monkeypatch, tmp_path):
    """A perfect copy of a clip too short to judge once counted 1e-5."""
    from types import SimpleNamespace

    from xcodec2.train.tasks import codec

    long, short = speech(), speech()[20_000:24_000]
    recordings = [
        SimpleNamespace(id=f"r{i}", load=lambda rate, w=w: SimpleNamespace(waveform=w))
        for i, w in enumerate((long, short))
    ]
    perfect = SimpleNamespace(
        sample_rate=RATE,
        encode=lambda waveform, rate: SimpleNamespace(codes=torch.arange(3), waveform=waveform),
        decode=lambda encoded: encoded.waveform,
    )
    from contextlib import nullcontext

    monkeypatch.setattr(codec, "read_corpus", lambda _: recordings)
    monkeypatch.setattr(codec, "ema_weights", lambda _: nullcontext(perfect))
    recipe = SimpleNamespace(data=SimpleNamespace(valid="v", valid_clips=2, valid_recognizer=""))
    with pytest.warns(UserWarning, match="r1 has no STOI: fewer than 30 frames"):
        figures = codec.validate(None, recipe, tmp_path)
    assert figures["stoi"] == pytest.approx(1.0)
    assert figures["estoi"] == pytest.approx(1.0)
    recordings.pop(0)
    with pytest.warns(UserWarning, match="r1 has no STOI"):
        assert "stoi" not in codec.validate(None, recipe, tmp_path)


def test_training_does_not_stand_on_evaluation():
    for wing in ("train", "signal"):
        for path in (Path(xcodec2.__file__).parent / wing).rglob("*.py"):
            tree = ast.parse(path.read_text())
            names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
            names += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
            assert not [n for n in names if n.startswith("xcodec2.evaluate")], path
