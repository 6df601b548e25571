"""Node, headless Chromium, and what they are pointed at."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import no_sandbox
from paths import ROOT
from tiny import ASSETS

from xcodec2.evaluators.fetch import fetch
from xcodec2.evaluators.weights import PackagedWeights, cached

JS = ROOT / "js"
AXE = PackagedWeights(
    "npm",
    "axe-core",
    "4.14.1",
    "MPL-2.0",
    {
        "package/axe.min.js": "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
    },
)
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="session")
def node() -> str:
    """The program."""
    if not (program := shutil.which("node")):
        pytest.skip("Node.js is not installed")
    return program


@pytest.fixture(scope="session")
def js_packages(node) -> Path:
    """The package's folder, with ONNX Runtime and TypeScript installed in it."""
    if not (JS / "node_modules").is_dir():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=JS, check=True, capture_output=True)
    return JS


@pytest.fixture(scope="session")
def spoken_wav(tmp_path_factory) -> Path:
    """Real speech at 48 kHz, for the microphone."""
    samples, rate = soundfile.read(ASSETS / "demo.flac", dtype="int16")
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 3 * rate, 0, "NONE", ""))
        file.writeframes(np.repeat(samples, 3).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def browser(spoken_wav) -> Iterator:
    """Headless Chromium, whose microphone hears speech."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not (program := shutil.which("chromium")):
        pytest.skip("Chromium is not installed")
    options = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={spoken_wav}",
    ]
    with playwright.sync_playwright() as player:
        found = player.chromium.launch(executable_path=program, args=[*options, *no_sandbox()])
        yield found
        found.close()


@pytest.fixture
def open_page(browser) -> Iterator[Callable]:
    """Opens pages, which may not complain on their console."""
    complaints: list[str] = []
    contexts = []

    def opened(url: str, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on(
            "console",
            lambda said: said.type in ("error", "warning") and complaints.append(said.text),
        )
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def faults() -> Callable:
    """What axe-core finds on a page: its serious faults."""
    fetch(AXE)
    program = cached(AXE, "package/axe.min.js").read_text("utf-8")

    def found(page) -> list[tuple[str, str]]:
        page.evaluate(program)
        return [
            (fault["id"], node["html"])
            for fault in page.evaluate("axe.run()")["violations"]
            if fault["impact"] in SERIOUS
            for node in fault["nodes"]
        ]

    return found


@pytest.fixture(scope="session")
def serve_folder() -> Iterator[Callable[[Path], str]]:
    """Puts folders on loopback, as any server of files does; gives their addresses."""
    servers = []

    def serve(folder: Path) -> str:
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Without a line for each request."""

    def log_message(self, format, *args) -> None:
        pass
