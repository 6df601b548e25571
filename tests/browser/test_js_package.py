"""The JavaScript package: the same codes and sound as Python, in Node."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from paths import TESTS
from tiny import SPECTROGRAM, random_model, speech

from xcodec2 import Codes, XCodec2Model, __version__
from xcodec2.onnx.export import export

HERE = TESTS / "browser"
FINITE = replace(SPECTROGRAM, attention_window=(9, 1), convolutions_ahead=2)
QUIETEST_SNR = 90.0  # dB


def test_the_packages_own_tests_pass(node):
    subprocess.run([node, "--test"], cwd=HERE.parents[1] / "js", check=True, capture_output=True)


def test_package_and_python_have_one_version():
    package = json.loads((HERE.parents[1] / "js" / "package.json").read_text("utf-8"))
    assert package["version"] == __version__


def test_codes_files_are_those_of_python(node, tmp_path):
    items = [
        Codes(
            [0, 17, 65_535], num_samples=900, sample_rate=16_000, model="nano é", weights_hash="a"
        ),
        Codes(list(range(1, 200))),
        Codes([70_000], codebook_size=1 << 17, frame_rate=25),
    ]
    lines = [
        json.dumps(
            {
                "codes": item.codes.tolist(),
                "numSamples": item.num_samples,
                "sampleRate": item.sample_rate,
                "frameRate": item.frame_rate,
                "codebookSize": item.codebook_size,
                "model": item.model,
                "weightsHash": item.weights_hash,
            }
        )
        for item in items
    ]
    command = [node, str(HERE / "write_codes.js")]
    written = subprocess.run(command, input="\n".join(lines), text=True, capture_output=True)
    assert written.stderr == ""
    found = [base64.b64decode(line) for line in written.stdout.split()]
    assert found == [item.to_bytes() for item in items]


@pytest.mark.slow
def test_types_say_what_there_is(js_packages, tmp_path):
    """A program in TypeScript is accepted, and one with mistakes is not."""
    compiler = js_packages / "node_modules" / "typescript" / "bin" / "tsc"
    package = tmp_path / "node_modules" / "open-xcodec2"
    package.parent.mkdir()
    package.symlink_to(js_packages)
    program = """
        import { Codec, codesFile } from "open-xcodec2";
        const codec = await Codec.load("https://localhost/graphs/");
        const codes: Int32Array = await codec.encode(new Float32Array(16000), 16000);
        const samples: Float32Array = await codec.decode(codes);
        for await (const piece of codec.streamDecode([codes])) console.log(piece.length);
        codesFile({ codes, model: codec.facts.model });
        console.log(samples);
    """
    options = [
        "--noEmit",
        "--strict",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        "--lib",
        "es2022,dom",
    ]
    for text, accepted in ((program, True), (program.replace("16000)", '"x")'), False)):
        (tmp_path / "program.mts").write_text(text)
        command = ["node", str(compiler), *options, "program.mts"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert (result.returncode == 0) is accepted, result.stdout


def run_codec(graphs: Path, clips: Path, waves: dict[tuple[str, int], np.ndarray]) -> dict:
    """What Node makes of waveforms."""
    for (name, rate), samples in waves.items():
        samples.astype("<f4").tofile(clips / f"{name}.{rate}.f32")
    command = ["node", str(HERE / "run_codec.js"), str(graphs), str(clips)]
    subprocess.run(command, check=True, capture_output=True)
    return {
        name: (
            json.loads((clips / f"{name}.json").read_text()),
            np.fromfile(clips / f"{name}.out.f32", "<f4"),
        )
        for name, _ in waves
    }


def snr(reference: np.ndarray, other: np.ndarray) -> float:
    noise = np.square(reference - other).sum()
    return 10 * np.log10(np.square(reference).sum() / max(noise, 1e-30))


def check_parity(model: XCodec2Model, found: dict, waves: dict) -> None:
    """Codes are the model's, but for one in 200 where the rate was converted by another filter."""
    for (name, rate), samples in waves.items():
        answer, waveform = found[name]
        expected = model.encode(samples, rate).codes
        assert len(answer["codes"]) == len(expected)
        wrong = sum(a != b for a, b in zip(answer["codes"], expected.tolist(), strict=True))
        assert wrong <= (0 if rate == 16_000 else len(expected) // 200)
        assert snr(model.decode(answer["codes"]).numpy(), waveform) > QUIETEST_SNR
        assert answer["facts"]["weightsHash"] == model.weights_hash


@pytest.mark.slow
def test_codes_and_sound_are_those_of_python(js_packages, tmp_path):
    clip = speech().numpy()
    waves = {("whole", 16_000): clip, ("one", 16_000): clip[:1], ("short", 16_000): clip[:639]}
    for rate in (8_000, 44_100, 48_000):
        waves[f"at{rate}", rate] = soxr.resample(clip, 16_000, rate, quality="VHQ")
    export("nano", tmp_path / "graphs")
    (tmp_path / "clips").mkdir()
    found = run_codec(tmp_path / "graphs", tmp_path / "clips", waves)
    check_parity(XCodec2Model.from_pretrained("nano"), found, waves)


@pytest.mark.slow
def test_streams_are_the_whole(js_packages, tmp_path):
    model = random_model(FINITE)
    model.save_pretrained(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "graphs")
    clip = speech().numpy()
    minute = torch.from_numpy(clip).repeat(13)[: 61 * 16_000].numpy()  # more than one pass
    waves = {("whole", 16_000): clip, ("one", 16_000): clip[:1], ("minute", 16_000): minute}
    (tmp_path / "clips").mkdir()
    found = run_codec(tmp_path / "graphs", tmp_path / "clips", waves)
    check_parity(XCodec2Model.from_pretrained(tmp_path / "model"), found, waves)
    assert "codesStreamed" not in found.pop("minute")[0]
    for answer, waveform in found.values():
        assert answer["codesStreamed"] == answer["codes"]
        assert answer["samplesStreamed"] == len(waveform)
        assert answer["difference"] < 1e-5 * np.abs(waveform).max()
