"""Graphs of fixed steps for phones: codes and sound of the model, by streams of any chunks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny import SPECTROGRAM, random_model, snr, speech

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.cli import xcodec2
from xcodec2.errors import CheckpointError, XCodec2Error
from xcodec2.mobile import MobileCodec
from xcodec2.mobile.export import export
from xcodec2.mobile.runtimes import RUNTIMES, Runtime, named

FINITE = replace(
    SPECTROGRAM, attention_window=(9, 1), convolutions_ahead=2, semantic_layers=1, layers=1
)
HERE = "pytorch"
HELD: dict[str, tuple[torch.nn.Module, list]] = {}


class ModuleSession:
    """What is exported, run by PyTorch itself: all but the runtimes' own arithmetic."""

    def __init__(self, path: Path) -> None:
        self.module, self.shapes = HELD[path.read_text()]

    def get_inputs(self):
        return named(self.shapes)

    @torch.no_grad()
    def run(self, outputs, feeds):
        arrays = list(feeds.values())
        assert [array.shape for array in arrays] == self.shapes  # they are fixed
        return [result.numpy() for result in self.module(*map(torch.from_numpy, arrays))]


def hold(module, examples, path: Path) -> None:
    HELD[str(path)] = module, [tuple(example.shape) for example in examples]
    path.write_text(str(path))


@pytest.fixture(autouse=True)
def _a_runtime_here(monkeypatch):
    monkeypatch.setitem(RUNTIMES, HERE, Runtime(".here", lambda: None, hold, ModuleSession))


def exported(config: XCodec2Config, folder: Path, to: str) -> tuple[XCodec2Model, MobileCodec]:
    model = random_model(config)
    with pytest.warns(UserWarning, match="own form"):
        model.save_pretrained(folder / "model")
    names = [path.name for path in export(folder / "model", folder / "phone", to, step=7)]
    suffix = RUNTIMES[to].suffix
    assert names == ["codec.json", f"decoder{suffix}", f"encoder{suffix}"]
    return model, MobileCodec(folder / "phone")


def check(model: XCodec2Model, codec: MobileCodec) -> None:
    """Codes and sound of recordings and streams whose ends meet a step's or not."""
    for samples in (1 + 319 * (not model.config.feature_padding), 320 * 14, 5_345):
        clip = speech()[9_000 : 9_000 + samples]
        codes = model.encode(clip, 16_000).codes
        assert codec.encode(clip.numpy(), 16_000).tolist() == codes.tolist()
        assert snr(model.decode(codes), torch.from_numpy(codec.decode(codes.numpy()))) > 80
    parts = np.split(clip.numpy(), [1, 300, 3_000, 3_000])
    assert np.concatenate(list(codec.stream_encode(parts, 16_000))).tolist() == codes.tolist()
    sound = np.concatenate(list(codec.stream_decode(np.split(codes.numpy(), [1, 9]))))
    assert np.array_equal(sound, codec.decode(codes.numpy()))


@pytest.mark.parametrize("padding", [160, 0])
def test_fixed_steps_have_the_models_codes_and_sound(padding, tmp_path):
    check(*exported(replace(FINITE, feature_padding=padding), tmp_path, HERE))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("to", "module"), [("executorch", "executorch"), ("litert", "litert_torch")]
)
def test_phone_runtimes_have_the_models_codes_and_sound(to, module, tmp_path):
    pytest.importorskip(module)
    model, codec = exported(FINITE, tmp_path, to)
    check(model, codec)
    (tmp_path / "phone" / f"encoder{codec.runtime.suffix}").write_bytes(b"not a program")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        MobileCodec(tmp_path / "phone").encode(speech().numpy(), 16_000)


def test_what_cannot_be_exported_or_run_says_so(tmp_path):
    with pytest.raises(XCodec2Error, match="has no limit; export it with --to onnx"):
        export("nano", tmp_path / "phone", HERE)
    assert not (tmp_path / "phone").exists()
    with pytest.raises(CheckpointError, match=r"codec\.json: is missing"):
        MobileCodec(tmp_path)
    _, codec = exported(FINITE, tmp_path, HERE)
    (tmp_path / "phone" / "decoder.here").unlink()
    with pytest.raises(CheckpointError, match=r"decoder\.here: no such file"):
        codec.decode(np.arange(5))
    with pytest.raises(XCodec2Error, match="16000 Hz, not 8000"):
        codec.encode(np.zeros(8_000, np.float32), 8_000)
    settings = json.loads((tmp_path / "phone" / "codec.json").read_text())
    (tmp_path / "phone" / "codec.json").write_text(json.dumps(settings | {"runtime": "none"}))
    with pytest.raises(CheckpointError, match="not written by this version"):
        MobileCodec(tmp_path / "phone")


def test_the_command_writes_them(tmp_path, monkeypatch):
    monkeypatch.setitem(RUNTIMES, "litert", RUNTIMES[HERE])
    with pytest.warns(UserWarning, match="own form"):
        random_model(FINITE).save_pretrained(tmp_path / "model")
    command = ["export", str(tmp_path / "model"), str(tmp_path / "phone"), "--to", "litert"]
    done = CliRunner().invoke(xcodec2, command)
    assert done.exit_code == 0, done.output
    assert "encoder.here" in done.output
    assert json.loads((tmp_path / "phone" / "codec.json").read_text())["step"] == 10
