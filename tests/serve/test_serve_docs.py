"""The curl lines of the guide, as they stand there, against a server of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import soundfile
from docs_blocks import PAGES, blocks, lay_ready

GUIDE = PAGES["docs/guides/serving.md"]
ADDRESS = "http://127.0.0.1:8000"


def test_every_curl_line_runs(url, tmp_path: Path):
    lay_ready(tmp_path)
    shown = [b for b in blocks(GUIDE) if b.is_shell and not b.not_run and "curl" in b.content]
    script = "\n".join(b.content for b in shown if "xcodec2 serve" not in b.content)
    assert script.count("curl ") > 10
    script = script.replace(ADDRESS, url).replace("curl ", "curl -sS --fail-with-body ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    for name in ("weasels.mp3", "weasels.opus", "again.wav", "again.opus"):
        assert soundfile.read(tmp_path / name)[0].size > 1000, name
    assert (tmp_path / "again.raw").stat().st_size > 48_000
    assert "speech.audio.done" in done.stdout
    assert '"deleted":true' in done.stdout
