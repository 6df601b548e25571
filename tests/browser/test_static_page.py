"""`xcodec2 serve --static`: the page alone, with the codec inside the browser."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from chromium import no_sandbox
from click.testing import CliRunner
from tiny import ASSETS, SPECTROGRAM, random_model, speech

from xcodec2 import Codes, XCodec2Error, XCodec2Model
from xcodec2.audio import load_audio
from xcodec2.cli import xcodec2
from xcodec2.onnx import OnnxCodec
from xcodec2.serve.static_site import check_static_folder, write_static_site

CODES = [(7_001 * n) % 65_536 for n in range(60)]
GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The page with nano."""
    folder = tmp_path_factory.mktemp("static") / "site"
    result = CliRunner().invoke(xcodec2, ["serve", "--static", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_other_peoples_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "index.html").write_text("mine, too")
    for target in (tmp_path, tmp_path / "thesis.txt"):
        result = CliRunner().invoke(xcodec2, ["serve", "--static", str(target)])
        assert result.exit_code in (1, 2)
    with pytest.raises(XCodec2Error, match="holds other files"):
        check_static_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "thesis.txt"]


@pytest.mark.slow
def test_codes_are_those_of_python(site, serve_folder, open_page, faults, tmp_path):
    """Real clips, of rates and channels; nothing is asked of another server."""
    address = serve_folder(site)
    page = open_page(address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_selector("html[data-ready=true]")
    assert page.is_hidden("#speak")
    model = XCodec2Model.from_pretrained("nano")
    for path, tolerated in clips(tmp_path):
        page.set_input_files("#file", path)
        page.wait_for_selector(f"#codec-status:has-text('{path.name}: ')")
        with page.expect_download() as found:
            page.click("#save-codes")
        codes, expected = Codes.load(found.value.path()), model.encode(path)
        assert (codes.num_samples, codes.sample_rate, codes.weights_hash) == (
            expected.num_samples,
            expected.sample_rate,
            expected.weights_hash,
        )
        wrong = sum(a != b for a, b in zip(codes.codes, expected.codes, strict=True))
        assert wrong <= tolerated, path
        with page.expect_download() as found:
            page.click("#save-reconstruction")
        again = load_audio(found.value.path()).waveform
        assert np.abs(again.numpy() - model.decode(codes).numpy()).max() < 2e-4
    assert faults(page) == []
    assert all(url.startswith((address, "blob:")) for url in asked)


def clips(folder: Path) -> list[tuple[Path, int]]:
    """Files of speech, and how many codes may be others: of rates converted by another filter."""
    clip = speech().numpy()
    wide = soxr.resample(clip, 16_000, 48_000, quality="VHQ")
    soundfile.write(folder / "short.wav", clip[:20_000], 16_000, subtype="FLOAT")
    soundfile.write(folder / "stereo.flac", np.stack([wide, wide * 0.5], axis=1), 48_000)
    return [(ASSETS / "demo.flac", 0), (folder / "short.wav", 0), (folder / "stereo.flac", 1)]


@pytest.mark.slow
@pytest.mark.parametrize("finite", [True, False])
def test_more_than_a_minute_needs_a_model_that_streams(finite, serve_folder, open_page, tmp_path):
    """Others refuse it in words."""
    window = {"attention_window": (9, 1), "convolutions_ahead": 2} if finite else {}
    model = random_model(replace(SPECTROGRAM, **window))
    model.save_pretrained(tmp_path / "model")
    page = open_page(serve_folder(write_static_site(tmp_path / "model", tmp_path / "site")))
    samples = np.resize(speech().numpy(), 61 * 16_000)
    soundfile.write(tmp_path / "long.wav", samples, 16_000, subtype="FLOAT")
    page.set_input_files("#file", tmp_path / "long.wav")
    if not finite:
        page.wait_for_selector("#codec-error:has-text('pieces of 60 s')")
        return
    page.wait_for_selector("#codec-status:has-text('long.wav: 61.00 s')")
    with page.expect_download() as found:
        page.click("#save-codes")
    assert (
        Codes.load(found.value.path()).codes.tolist()
        == model.encode(samples, 16_000).codes.tolist()
    )


@pytest.mark.slow
def test_a_gpu_gives_the_same_sound_or_is_not_used(site, serve_folder, browser):
    """Here it is a software adapter, on which ONNX Runtime decodes something else."""
    gpu = browser.browser_type.launch(
        executable_path=shutil.which("chromium"), args=[*GPU, *no_sandbox()]
    )
    page = gpu.new_page()
    page.set_default_timeout(540_000)
    page.goto(serve_folder(site) + "icon.svg")
    if not page.evaluate("navigator.gpu?.requestAdapter().then((found) => Boolean(found))"):
        pytest.skip("this Chromium has no WebGPU adapter, not even in software")
    found = page.evaluate(
        """async (codes) => {
            const runtime = async (kind) => {
                const ort = await import(`/runtime/ort.${kind}.min.mjs`);
                ort.env.wasm.wasmPaths = "/runtime/";
                return ort;
            };
            const { Codec } = await import("/codec/index.js");
            const codec = await Codec.load("/graphs/", {
                ort: await runtime("wasm"),
                decoderOrt: await runtime("webgpu"),
                decoder: ["webgpu", "wasm"],
                decoderOnly: true,
            });
            return [...(await codec.decode(codes))];
        }""",
        CODES,
    )
    gpu.close()
    expected = OnnxCodec(site / "graphs", threads=1).decode(np.array(CODES))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
def test_an_earlier_site_is_replaced(site):
    (site / "graphs" / "decoder.onnx").write_bytes(b"")
    (site / "left.txt").write_text("of an earlier version")
    write_static_site("nano", site)
    assert (site / "graphs" / "decoder.onnx").stat().st_size > 1e7
    assert not (site / "left.txt").exists()
