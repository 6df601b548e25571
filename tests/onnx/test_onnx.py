"""Exported models: the same codes and the same sound in ONNX Runtime and OpenVINO, without
PyTorch.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest
import soundfile
import torch
from click.testing import CliRunner
from decodes import check_what_decodes
from hints import install_hint
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, misses_beyond_rounding, random_model, speech

from xcodec2 import XCodec2Error, XCodec2Model
from xcodec2.cli import xcodec2
from xcodec2.errors import CodesError
from xcodec2.evaluate import evaluate
from xcodec2.onnx import OnnxCodec
from xcodec2.onnx.export import export
from xcodec2.onnx.graph import DecoderGraph, EncoderGraph
from xcodec2.tokenizer import SpeechTokenizer

SHALLOW = replace(XCODEC2, semantic_layers=1, layers=1, strides=(320,))
UPSAMPLED = replace(SHALLOW, sample_rate=44_100, upsampling=(3,), upsampling_kernels=(9,))
QUIETEST_SNR = 90.0  # dB; differences of rounding lie at 98 (a single frame) to 120
EXTREMES = (1, 319, 320, 321, 16_123)


@pytest.fixture(scope="module")
def model() -> XCodec2Model:
    return random_model(SHALLOW)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    """What `export` makes of `model`."""
    base = tmp_path_factory.mktemp("onnx")
    model.save_pretrained(base / "model")
    (base / "onnx").mkdir()
    for name in ("decoder_step.onnx", "encoder.onnx.data", "mine.onnx"):
        (base / "onnx" / name).write_bytes(b"of a model that was here before")
    with torch.no_grad():  # a caller may well be in it
        export(base / "model", base / "onnx")
    return base / "onnx"


def snr(reference: np.ndarray, other: np.ndarray) -> float:
    noise = np.square(reference - other).sum()
    return 10 * np.log10(np.square(reference).sum() / max(noise, 1e-30))


def check_parity(model: XCodec2Model, folder: Path, wave: np.ndarray) -> None:
    codec = OnnxCodec(folder, threads=1)
    expected = model.encode(wave, 16_000).codes
    codes = codec.encode(wave, 16_000)
    assert codes.tolist() == expected.tolist()
    assert snr(model.decode(expected).numpy(), codec.decode(codes)) > QUIETEST_SNR


@pytest.mark.parametrize(
    "config",
    [
        XCODEC2,
        NEUCODEC,
        SPECTROGRAM,
        replace(SPECTROGRAM, attention_window=(9, 1), convolutions_ahead=2),
    ],
    ids=["XCodec2", "NeuCodec", "spectrogram", "finite"],
)
@pytest.mark.parametrize("num_samples", [320, 16_123])
def test_graphs_equal_the_model(config, num_samples):
    model = random_model(config)
    waves = torch.stack([speech()[:num_samples], speech()[5_000 : 5_000 + num_samples]])
    codes = torch.stack([item.codes for item in model.encode(list(waves), 16_000)]).long()
    expected = torch.stack(model.decode(list(codes)))
    with torch.no_grad():
        found = EncoderGraph(copy.deepcopy(model))(waves)
        found = found[0] if isinstance(found, tuple) else found  # then margins follow
        torch.testing.assert_close(
            DecoderGraph(copy.deepcopy(model))(codes), expected, atol=2e-5, rtol=1e-4
        )
    for row in zip(waves, found, codes, strict=True):
        assert not misses_beyond_rounding(model, *row)


@pytest.mark.parametrize("num_samples", EXTREMES)
def test_onnx_runtime_gives_the_models_codes_and_sound(model, folder, num_samples):
    check_parity(model, folder, speech()[:num_samples].numpy())


def test_openvino_gives_the_models_codes_and_sound(model, folder):
    core, waves = openvino.Core(), torch.stack([speech()[:16_123], speech()[9_000:25_123]])
    encoder, decoder = (
        core.compile_model(str(folder / name), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for name in ("encoder.onnx", "decoder.onnx")
    )
    codes = encoder(waves.numpy())[0]
    assert codes.tolist() == [item.codes.tolist() for item in model.encode(list(waves), 16_000)]
    assert (
        snr(torch.stack(model.decode(list(torch.from_numpy(codes)))).numpy(), decoder(codes)[0])
        > QUIETEST_SNR
    )


def test_every_item_of_a_list_gives_what_it_gives_alone(folder):
    codec = OnnxCodec(folder, threads=1)
    waves = [speech()[:size].numpy() for size in (8_000, 7_900, 321, 7_700)]
    codes = codec.encode(waves, 16_000)
    assert [row.tolist() for row in codes] == [
        codec.encode(wave, 16_000).tolist() for wave in waves
    ]
    for together, row in zip(codec.decode(codes), codes, strict=True):
        np.testing.assert_allclose(together, codec.decode(row), atol=1e-5)


def test_codes_of_any_kind_decode_as_they_do_in_pytorch(model, folder):
    codec = OnnxCodec(folder, threads=1)
    codes = model.encode(speech()[:8_001], 16_000)
    check_what_decodes(codec, codes)
    both = codec.decode([codes, codes.codes.tolist()])
    assert [len(wave) for wave in both] == [8_001, 26 * 320]


def test_the_runtime_imports_no_torch(folder, tmp_path):
    program = """
import json, sys
import numpy as np
from xcodec2.onnx import OnnxCodec
codec = OnnxCodec(sys.argv[1], threads=1)
codes = codec.encode(np.load(sys.argv[2]), 16_000)
wave = codec.decode(codes.tolist())
imported = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps([codes.tolist(), len(wave), imported]))
"""
    np.save(tmp_path / "wave.npy", speech()[:8_000].numpy())
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "wave.npy")]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    codes, num_samples, modules = json.loads(finished.stdout)
    assert codes == OnnxCodec(folder).encode(speech()[:8_000].numpy(), 16_000).tolist()
    assert num_samples == 26 * 320
    assert not {"torch", "soundfile", "soxr", "click", "safetensors"} & set(modules)


def test_a_decoder_needs_no_encoder(folder, tmp_path):
    (tmp_path / "decoder.onnx").write_bytes((folder / "decoder.onnx").read_bytes())
    codec = OnnxCodec(tmp_path)
    assert len(codec.decode(np.arange(5))) == 5 * 320
    with pytest.raises(XCodec2Error, match=r"encoder\.onnx: no such file; write it with"):
        codec.encode(np.zeros(400, np.float32), 16_000)


def test_an_export_leaves_no_graphs_of_the_model_before(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {"encoder.onnx", "decoder.onnx", "mine.onnx"}


def test_files_of_two_models_are_not_mixed(folder, tmp_path):
    import onnx

    shutil.copy(folder / "encoder.onnx", tmp_path)
    graph = onnx.load(folder / "decoder.onnx")
    (entry,) = (entry for entry in graph.metadata_props if entry.key == "xcodec2")
    facts = json.loads(entry.value)
    entry.value = json.dumps(facts | {"weights_hash": "0123456789abcdef", "model": "other"})
    onnx.save(graph, tmp_path / "decoder.onnx")
    codec = OnnxCodec(tmp_path)
    codec.encode(np.zeros(400, np.float32), 16_000)
    for _ in range(2):
        with pytest.raises(XCodec2Error, match=r"decoder\.onnx: is of another model \(other\)"):
            codec.decode(np.arange(5))
    entry.value = json.dumps(facts | {"model": "with a decoder trained further"})
    onnx.save(graph, tmp_path / "decoder.onnx")
    assert len(OnnxCodec(tmp_path).decode(np.arange(5))) == 5 * 320


def test_files_say_what_they_are(model, folder):
    facts = OnnxCodec(folder).facts
    assert (facts.input_rate, facts.sample_rate, facts.codebook_size) == (16_000, 16_000, 65_536)
    assert facts.weights_hash == model.weights_hash


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (np.zeros(400, np.float32), 44_100, "takes 16000 Hz, not 44100 Hz: resample it first"),
        (np.zeros(0, np.float32), 16_000, "has 0 samples"),
        (np.zeros((2, 400), np.float32), 16_000, r"floats \(N,\)"),
        (np.zeros(400, np.int16), 16_000, r"floats \(N,\)"),
        (np.full(400, np.nan, np.float32), 16_000, "NaN"),
        (np.zeros(61 * 16_000, np.float32), 16_000, "pieces of 60 s"),
    ],
)
def test_unusable_audio_is_refused(folder, audio, rate, message):
    with pytest.raises(XCodec2Error, match=message):
        OnnxCodec(folder).encode(audio, rate)


@pytest.mark.parametrize("codes", [[], [-1], [65_536], [0.5], [[1]]])
def test_unusable_codes_are_refused(folder, codes):
    with pytest.raises(CodesError, match="code"):
        OnnxCodec(folder).decode(np.array(codes))


def test_unusable_files_are_refused(folder, tmp_path):
    with pytest.raises(XCodec2Error, match="export MODEL"):
        OnnxCodec(tmp_path)
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(XCodec2Error, match="cannot load it"):
        OnnxCodec(tmp_path)


def test_missing_packages_are_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(XCodec2Error, match="needs onnxruntime: run `pip install"):
        OnnxCodec(folder)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(XCodec2Error, match="needs onnxscript: " + install_hint("onnx")):
        export("nano", tmp_path)
    assert not list(tmp_path.iterdir())


def test_graphs_are_of_an_opset_that_old_runtimes_know(folder):
    import onnx

    graph = onnx.load(folder / "encoder.onnx")
    assert [
        (entry.domain, entry.version) for entry in graph.opset_import if entry.domain == ""
    ] == [("", 20)]
    assert onnxruntime.InferenceSession(folder / "encoder.onnx").get_inputs()[0].shape == [
        "batch",
        "samples",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [XCODEC2, NEUCODEC, UPSAMPLED], ids=["XCodec2", "NeuCodec", "44.1 kHz"]
)
def test_published_shapes_in_onnx_runtime(config, tmp_path):
    model = random_model(config)
    model.save_pretrained(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "onnx")
    for num_samples in EXTREMES[2:]:
        check_parity(model, tmp_path / "onnx", speech()[:num_samples].numpy())


@pytest.mark.slow
def test_nano_exported_by_the_command(tmp_path):
    result = CliRunner().invoke(xcodec2, ["export", "nano", str(tmp_path / "onnx"), "--to", "onnx"])
    assert result.exit_code == 0, result.output
    assert "decoder.onnx" in result.output
    check_parity(XCodec2Model.from_pretrained(), tmp_path / "onnx", speech().numpy())


@pytest.mark.usefixtures("no_page")
def test_an_exported_model_is_a_tokenizer_and_evaluated_as_the_model_is(folder, tmp_path):
    codec = OnnxCodec(folder)
    assert isinstance(codec, SpeechTokenizer)
    assert (codec.sample_rate, codec.frame_rate, codec.codebook_size) == (16_000, 50, 65_536)
    soundfile.write(tmp_path / "clip.wav", speech().numpy()[:16_000], 16_000)
    (tmp_path / "clip.lab").write_text("#\n0.5 125 a\n1.0 125 b\n")
    summary = evaluate(
        str(tmp_path / "clip.wav"),
        tmp_path / "out",
        models=[str(folder.parent / "model"), str(folder)],
        metrics=["invariance"],
        phones=str(tmp_path),
        cost=False,
        worst=0,
    )
    model, exported = summary["codes"]["model"], summary["codes"]["onnx"]
    assert exported["use"] == model["use"]
    assert exported["phones"]["pnmi"] == model["phones"]["pnmi"]
    kept = [summary["systems"][name]["metrics"]["kept_resampled"] for name in ("model", "onnx")]
    assert kept[1]["mean"] == pytest.approx(kept[0]["mean"], abs=0.05)
