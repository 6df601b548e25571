"""The page of `xcodec2 serve`, as a person uses it, in headless Chromium."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import ASSETS, speech

from xcodec2 import Codes, XCodec2Model
from xcodec2.audio import load_audio

pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
KEY = "a key of tests"
SHORT = "Yes."
LONG = "Please hold while we try to connect you. The leader has left the conference."
LOADING = 400_000  # ms, on a busy machine


@pytest.fixture(scope="module")
def serve(tmp_path_factory) -> Iterator:
    """Starts servers; gives their addresses."""
    running = []

    def started(*options: str) -> str:
        voices = tmp_path_factory.mktemp("voices")
        command = [sys.executable, "-m", "xcodec2.cli", "serve", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--voices", str(voices), *options], stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"http://\S+", line)
        assert address, line
        return address[0].rstrip("/") + "/"

    yield started
    for process in running:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


@pytest.fixture(scope="module")
def address(serve) -> str:
    return serve()


@pytest.fixture
def page(open_page, address):
    return ready(open_page(address))


def ready(page):
    """The page, when the server's models are loaded."""
    page.wait_for_selector("html[data-ready=true]", timeout=LOADING)
    return page


def bytes_of_link(page, link: str) -> bytes:
    """What a link saves."""
    with page.expect_download() as found:
        page.click(link)
    return Path(found.value.path()).read_bytes()


def drop(page, path: Path) -> None:
    """Let a file fall on the page."""
    page.evaluate(
        """async ([name, data]) => {
            const bytes = await (await fetch(data)).arrayBuffer();
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            const options = { dataTransfer, bubbles: true, cancelable: true };
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", options));
        }""",
        [path.name, data_url(path)],
    )


def data_url(path: Path) -> str:
    import base64

    return "data:application/octet-stream;base64," + base64.b64encode(path.read_bytes()).decode()


def shown(page) -> None:
    """Wait for tokens, pictures and sizes."""
    page.wait_for_selector("#sizes tbody tr:nth-child(4)")
    assert page.inner_text("#codec-error") == ""


def painted(page, canvas: str) -> int:
    """Different colors on a canvas."""
    return page.evaluate(
        """(selector) => {
            const canvas = document.querySelector(selector);
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return new Set(new Uint32Array(data.buffer)).size;
        }""",
        canvas,
    )


def test_speech_is_heard_while_it_is_made(page):
    page.evaluate(
        """() => {
            globalThis.heard = [];
            const { postMessage } = MessagePort.prototype;
            globalThis.pushed = 0;
            MessagePort.prototype.postMessage = function (message, ...rest) {
                if (message instanceof Float32Array) globalThis.pushed += message.length;
                return postMessage.call(this, message, ...rest);
            };
            new MutationObserver(() => globalThis.heard.push(
                [document.getElementById("speak-status").textContent, globalThis.pushed],
            )).observe(document.getElementById("speak-status"), { childList: true });
        }"""
    )
    page.fill("#text", LONG)
    page.click("#speak-start")
    page.wait_for_selector("#speak-status:has-text('of speech')", timeout=LOADING)
    said = page.evaluate("globalThis.heard")
    early = [samples for text, samples in said if text.startswith("Heard since")]
    assert early, said
    assert 0 < early[0] < page.evaluate("globalThis.pushed")  # sound before the end
    assert page.inner_text("#speak-error") == ""
    assert bytes_of_link(page, "#speak-save").startswith(b"RIFF")
    page.click("#speak-tokens")
    shown(page)


def test_speech_can_be_stopped_and_asked_for_again(page):
    page.fill("#text", LONG)
    page.click("#speak-start")
    page.wait_for_selector("#speak-status:has-text('Heard since')")
    page.click("#speak-stop")
    assert page.is_disabled("#speak-stop")
    page.fill("#text", SHORT)
    page.click("#speak-start")
    page.wait_for_selector("#speak-status:has-text('of speech')")


def test_a_dropped_file_shows_its_tokens_and_both_sounds(page, tmp_path):
    drop(page, ASSETS / "demo.flac")
    shown(page)
    (tmp_path / "codes.npz").write_bytes(bytes_of_link(page, "#save-codes"))
    codes = Codes.load(tmp_path / "codes.npz")
    model = XCodec2Model.from_pretrained("nano")
    expected = model.encode(ASSETS / "demo.flac")
    assert codes == expected
    (tmp_path / "again.wav").write_bytes(bytes_of_link(page, "#save-reconstruction"))
    found = load_audio(tmp_path / "again.wav").waveform
    assert np.abs(found.numpy() - model.decode(expected).numpy()).max() < 2e-4
    (tmp_path / "original.wav").write_bytes(bytes_of_link(page, "#save-original"))
    np.testing.assert_array_equal(load_audio(tmp_path / "original.wav").waveform, speech())
    for figure in ("#figure-original", "#figure-reconstruction"):
        assert painted(page, f"{figure} .wave") >= 2
        assert painted(page, f"{figure} .spectrum") > 100
    assert painted(page, "#strip") > 50
    sizes = [row.split() for row in page.inner_text("#sizes tbody").splitlines() if row.strip()]
    assert sizes[0][:2] == ["Tokens", str(2 * len(codes))]
    assert sizes[-1][0] == "WAV,"
    assert sizes[-1][-2:] == ["154,704", "256,000"]


def test_tokens_are_told_by_mouse_and_by_keys(page):
    drop(page, ASSETS / "demo.flac")
    shown(page)
    codes = XCodec2Model.from_pretrained("nano").encode(ASSETS / "demo.flac").codes.tolist()
    page.hover("#tokens")
    assert f"token 122 of 242 · number {codes[121]}" in page.inner_text("#token")
    page.focus("#tokens")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#token") == f"2.44 s · token 123 of 242 · number {codes[122]}"
    page.keyboard.press("End")
    assert page.get_attribute("#tokens", "aria-valuetext") == f"4.82 seconds, number {codes[-1]}"


def test_original_and_reconstruction_are_switched_while_they_play(page, tmp_path):
    samples, rate = soundfile.read(ASSETS / "demo.flac", dtype="int16")
    soundfile.write(tmp_path / "long.flac", np.tile(samples, 8), rate)  # for a busy machine
    drop(page, tmp_path / "long.flac")
    shown(page)
    page.click("#play")
    page.wait_for_function("parseFloat(document.getElementById('clock').textContent) > 0.2")
    before = float(page.inner_text("#clock").split()[0])
    page.keyboard.press("x")
    assert page.is_checked("#hear-reconstruction")
    page.wait_for_function(
        f"parseFloat(document.getElementById('clock').textContent) > {before + 0.2}"
    )
    page.click("label[for=hear-original]")
    assert page.inner_text("#figure-original figcaption").startswith("Original")
    page.click("#play")
    assert page.inner_text("#play") == "Play"


def test_the_microphone_is_recorded(page):
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_timeout(1500)
    page.click("#record")
    shown(page)
    assert page.inner_text("#codec-status").startswith("recording: ")
    loudest = page.get_attribute("#figure-original .wave", "aria-label").split()[-1]
    assert float(loudest) > 0.05


def test_codes_are_dropped_and_heard(page, tmp_path):
    Codes(list(range(0, 65_536, 700)), num_samples=30_000, sample_rate=16_000).save(
        tmp_path / "codes.npz"
    )
    drop(page, tmp_path / "codes.npz")
    shown(page)
    assert page.is_hidden("#figure-original")
    assert page.is_checked("#hear-reconstruction")


def test_voices_are_added_with_consent_and_deleted(page):
    page.click("#voice-add summary")
    page.fill("#voice-name", "Ada")
    page.set_input_files("#voice-file", ASSETS / "demo.flac")
    page.fill("#voice-text", "what is said in it")
    page.click("#voice-save")  # without consent the browser itself refuses
    assert page.inner_text("#voices-status") == ""
    page.check("#voice-consent")
    page.click("#voice-save")
    page.wait_for_selector("#voice-list li:has-text('Ada')")
    page.select_option("#voice", label="Ada")
    page.fill("#text", SHORT)
    page.click("#speak-start")
    page.wait_for_selector("#speak-status:has-text('of speech')")
    page.on("dialog", lambda asked: asked.accept())
    page.click("text=Delete")
    page.wait_for_selector("#voices-none:not([hidden])")  # the model's own cannot be deleted
    left = page.inner_text("#voice")
    assert "Ada" not in left
    assert "deep, synthetic" in left


def test_keyboard_alone_speaks(page):
    page.focus("#text")
    page.keyboard.press("Control+a")
    page.keyboard.type(SHORT)
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#speak-status:has-text('of speech')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
def test_nothing_is_faulty_in_light_or_dark_on_any_screen(
    open_page, address, faults, scheme, screen
):
    page = ready(open_page(address, color_scheme=scheme, **screen))
    drop(page, ASSETS / "demo.flac")
    shown(page)
    page.click("#voice-add summary")
    assert faults(page) == []
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) < 128) == (scheme == "dark")
    if folder := os.environ.get("XCODEC2_SCREENSHOTS"):  # to look at
        name = f"{scheme}-{'phone' if screen else 'desk'}.png"
        page.screenshot(path=Path(folder, name), full_page=True)


def test_refusals_are_told_in_words(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    ready(page)
    nonsense = {"name": "x.wav", "mimeType": "audio/wav", "buffer": b"RIFF nothing"}
    page.set_input_files("#file", files=[nonsense])
    page.wait_for_selector("#codec-error:not(:empty)")
    assert "Traceback" not in page.inner_text("#codec-error")
    page.route("**/v1/audio/**", lambda route: route.abort())
    page.click("#speak-start")
    page.wait_for_selector("#speak-error:has-text('does not answer')")
    context.close()


def test_a_key_is_asked_for(browser, serve, tmp_path):
    (tmp_path / "keys.txt").write_text(KEY)
    address = serve("--lm", "none", "--api-key-file", str(tmp_path / "keys.txt"))
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.wait_for_selector("#key-form:not([hidden])", timeout=120_000)
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    ready(page)
    assert "nano" in page.inner_text("#model")
    context.close()
