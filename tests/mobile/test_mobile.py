"""Graphs of fixed steps for phones: codes and sound of the model, by streams of any chunks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from decodes import check_what_decodes
from tiny import SPECTROGRAM, random_model, snr, speech

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.cli import xcodec2
from xcodec2.errors import CheckpointError, XCodec2Error
from xcodec2.mobile import MobileCodec, programs
from xcodec2.mobile.export import export_steps
from xcodec2.mobile.programs import named_inputs

FINITE = replace(
    SPECTROGRAM, attention_window=(9, 1), convolutions_ahead=2, semantic_layers=1, layers=1
)
HELD: dict[str, tuple[torch.nn.Module, list]] = {}


class ModuleProgram:
    """What is exported, run by PyTorch itself: all but the runtimes' own arithmetic."""

    def __init__(self, path: Path) -> None:
        self.module, self.shapes = HELD[path.read_text()]

    def get_inputs(self):
        return named_inputs(self.shapes)

    @torch.no_grad()
    def run(self, outputs, feeds):
        arrays = list(feeds.values())
        assert [array.shape for array in arrays] == self.shapes  # they are fixed
        return [result.numpy() for result in self.module(*map(torch.from_numpy, arrays))]


def hold(module, examples, path: Path) -> None:
    HELD[str(path)] = module, [tuple(example.shape) for example in examples]
    path.write_text(str(path))


@pytest.fixture
def _without_executorch(monkeypatch):
    monkeypatch.setattr(programs, "require_executorch", lambda: None)
    monkeypatch.setattr(programs, "write_program", hold)
    monkeypatch.setattr(programs, "PhoneProgram", ModuleProgram)


def exported(config: XCodec2Config, folder: Path) -> tuple[XCodec2Model, MobileCodec]:
    model = random_model(config)
    with pytest.warns(UserWarning, match="own form"):
        model.save_pretrained(folder / "model")
    names = [path.name for path in export_steps(folder / "model", folder / "phone", step=7)]
    assert names == ["decoder.pte", "encoder.pte", "codec.json"]
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


@pytest.mark.usefixtures("_without_executorch")
@pytest.mark.parametrize("padding", [160, 0])
def test_fixed_steps_have_the_models_codes_and_sound(padding, tmp_path):
    model, codec = exported(replace(FINITE, feature_padding=padding), tmp_path)
    check(model, codec)
    check_what_decodes(codec, model.encode(speech()[: 4_000 - padding], 16_000))


@pytest.mark.slow
def test_executorch_has_the_models_codes_and_sound(tmp_path):
    pytest.importorskip("executorch")
    model, codec = exported(FINITE, tmp_path)
    check(model, codec)
    (tmp_path / "phone" / "encoder.pte").write_bytes(b"not a program")
    with pytest.raises(CheckpointError, match="is damaged, or of another export"):
        MobileCodec(tmp_path / "phone").encode(speech().numpy(), 16_000)
    with pytest.raises(CheckpointError, match="cannot load"):
        programs.PhoneProgram(tmp_path / "phone" / "encoder.pte")


@pytest.mark.usefixtures("_without_executorch")
def test_what_cannot_be_exported_or_run_says_so(tmp_path):
    with pytest.warns(UserWarning, match="own form"):
        random_model(SPECTROGRAM).save_pretrained(tmp_path / "wide")
    with pytest.raises(XCodec2Error, match="has no limit; export it with --to onnx"):
        export_steps(str(tmp_path / "wide"), tmp_path / "phone")
    assert not (tmp_path / "phone").exists()
    with pytest.raises(CheckpointError, match=r"codec\.json: is missing"):
        MobileCodec(tmp_path)
    _, codec = exported(FINITE, tmp_path)
    with (tmp_path / "phone" / "decoder.pte").open("a") as file:
        file.write("of another export")
    with pytest.raises(CheckpointError, match=r"decoder\.pte: is damaged, or of another export"):
        codec.decode(np.arange(5))
    (tmp_path / "phone" / "decoder.pte").unlink()
    with pytest.raises(CheckpointError, match=r"decoder\.pte: no such file"):
        codec.decode(np.arange(5))
    with pytest.raises(XCodec2Error, match="16000 Hz, not 8000"):
        codec.encode(np.zeros(8_000, np.float32), 8_000)
    settings = json.loads((tmp_path / "phone" / "codec.json").read_text())
    (tmp_path / "phone" / "codec.json").write_text(json.dumps(settings | {"later": 1}))
    with pytest.raises(CheckpointError, match="not written by this version"):
        MobileCodec(tmp_path / "phone")


@pytest.mark.usefixtures("_without_executorch")
def test_the_command_writes_them(tmp_path):
    with pytest.warns(UserWarning, match="own form"):
        random_model(FINITE).save_pretrained(tmp_path / "model")
    command = ["export", str(tmp_path / "model"), str(tmp_path / "phone"), "--to", "executorch"]
    done = CliRunner().invoke(xcodec2, command)
    assert done.exit_code == 0, done.output
    assert "encoder.pte" in done.output
    assert json.loads((tmp_path / "phone" / "codec.json").read_text())["step"] == 10
