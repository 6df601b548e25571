"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny import ASSETS, speech

from xcodec2.audio.io import save_audio
from xcodec2.cli import xcodec2

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [content for name, content in fenced if name == language]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with the files that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    for name in ("speech.mp3", "speech.wav"):
        save_audio(tmp_path / name, speech()[:32_000], 16_000)
    (tmp_path / "recordings").mkdir()
    shutil.copy(ASSETS / "demo.flac", tmp_path / "recordings" / "one.flac")
    return tmp_path


def test_python_examples_run(folder, tiny_folder):
    played: list = []
    names = {"chunks_of_codes": [[1, 2, 3], [4]], "play": played.append, "wav": speech()[None]}
    first, stream, original = blocks("python")
    exec(first, names)
    assert len(names["waveform"]) == 32_000
    exec(stream, names)
    assert sum(map(len, played)) == 4 * 320
    exec(original.replace("HKUSTAudio/xcodec2", str(tiny_folder)), names)
    assert names["recon"].shape == (1, 1, 320 * (len(speech()) // 320 + 1))


def test_commands_run(folder, tiny_folder):
    commands = [
        line.partition("#")[0]
        for block in blocks("")
        for line in block.splitlines()
        if line.startswith("xcodec2")
    ]
    assert len(commands) == 9
    for command in commands:
        words = shlex.split(
            command.replace("HKUSTAudio/xcodec2", str(tiny_folder)).replace("*", "one")
        )
        result = CliRunner().invoke(xcodec2, words[1:])
        assert result.exit_code == 0, (command, result.output)


def test_make_targets_and_files_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page.name, link)
    for script in re.findall(r"python (scripts/\w+\.py|benchmarks/\w+\.py)", README):
        assert (ROOT / script).exists(), script
