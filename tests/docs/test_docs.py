"""What README and docs show works as it stands there."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import soundfile
from click.testing import CliRunner
from docs_blocks import PAGES, ROOT, Block, as_script, blocks, lay_ready
from tiny import speech

from xcodec2.cli import xcodec2

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE_SECONDS = 1500
BAD = (
    "# A page\n<!-- not run: needs a GPU -->\n```\nxcodec2 train nano\n```\n\n```bash\nls a | wc\n"
    "xcodec2 speak 'a # b' \\\n  -o - | aplay  # played\n```\n```text\nno\n```\n"
    "```python\n1 + 1\n```\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with the files that the docs speak of."""
    monkeypatch.chdir(tmp_path)
    lay_ready(tmp_path)
    return tmp_path


def test_blocks_are_found(tmp_path):
    (tmp_path / "a.md").write_text(BAD)
    found = blocks(tmp_path / "a.md")
    assert [block.not_run for block in found] == ["needs a GPU", None, None, None]
    assert [block.is_shell for block in found] == [True, True, False, False]
    assert found[1].commands() == [["xcodec2", "speak", "a # b", "-o", "-"]]
    script = as_script(found)
    assert "ls a | wc" in script
    assert "1 + 1" in script
    assert "nano" not in script
    assert "\nno\n" not in script
    (tmp_path / "a.md").write_text(f"<!-- blocks not run: all of it -->\n{BAD}")
    assert {block.not_run for block in blocks(tmp_path / "a.md")} == {"all of it"}


def test_a_command_that_fails_ends_a_page(tmp_path):
    script = as_script([Block("", "true\nfalse | cat\ntouch there\n", None)])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "failed: " in done.stderr
    assert not (tmp_path / "there").exists()


def test_python_examples_of_the_readme_run(folder):
    played: list = []
    sent: list = []
    names = {"chunks_of_codes": [[1, 2, 3], [4]], "play": played.append, "wav": speech()[None]}
    names |= {"microphone": speech()[:16_000].split(1_000), "send": sent.append}
    first, stream, original = (
        block.content for block in blocks(ROOT / "README.md") if block.language == "python"
    )
    exec(first, names)
    assert len(names["waveform"]) == 32_000
    exec(stream, names)
    assert sum(map(len, sent)) == 51
    assert sum(map(len, played)) == 4 * 320
    exec(original, names)
    assert names["recon"].shape == (1, 1, 320 * (len(speech()) // 320 + 1))


@pytest.mark.usefixtures("no_page")
def test_commands_of_the_readme_run(folder):
    """In this process, which is faster than a shell; `test_pages_run_as_printed` has one, and draws
    the report.
    """
    shell = [block for block in blocks(ROOT / "README.md") if block.is_shell and not block.not_run]
    commands = [command for block in shell for command in block.commands()]
    assert len(commands) >= 9
    for command in commands:
        words = [name for word in command[1:] for name in (glob.glob(word) or [word])]
        result = CliRunner().invoke(xcodec2, words)
        assert result.exit_code == 0, (command, result.output, result.exception)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, page in PAGES.items() if as_script(blocks(page)).count("\n") > 1]
)
def test_pages_run_as_printed(folder, name):
    """All blocks of a page, in their order, in one shell and one folder."""
    page = [block for block in blocks(PAGES[name]) if name != "README.md" or block.is_shell]
    paths = [str(folder / ".bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    log = folder / ".log"  # a pipe would stay open as long as a server that a page starts
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            ["bash", "-c", as_script(page)],
            cwd=folder,
            env=os.environ | {"PATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(timeout=PAGE_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # servers that a page leaves behind
    assert process.returncode == 0, log.read_text(encoding="utf-8")[-3000:]
    if (
        name == "docs/guides/llasa.md"
    ):  # the recording that "Hello there." was learned from has a second
        assert 0.9 < soundfile.info(folder / "hello.wav").duration < 1.1


@pytest.mark.parametrize("name", PAGES)
def test_commands_have_the_options_that_are_shown(name):
    """In blocks that are not run, too."""
    for block in blocks(PAGES[name]):
        for words in block.commands() if block.is_shell else []:
            command: click.Command = xcodec2
            rest = words[1:]
            while isinstance(command, click.Group):
                assert rest[0] in command.commands, words
                command = command.commands[rest.pop(0)]
            known = {
                option
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            shown = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
            assert shown <= known | {"--help"}, (words, shown - known)


@pytest.mark.parametrize("name", PAGES)
def test_extras_that_are_shown_exist(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = PAGES[name].read_text(encoding="utf-8")
    for extras in re.findall(r"pip install '?(?:open-xcodec2|\.)\[([\w,]+)\]", text):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys(), extras


def test_make_targets_and_files_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page.name, link)
    for script in re.findall(r"python (scripts/\w+\.py|benchmarks/\w+\.py)", README):
        assert (ROOT / script).exists(), script


# A path into the repository or, as pages about one part of it have it, into the package.
FOLDERS = [
    *("src", "docs", "tests", "scripts", "benchmarks", "findings"),
    *(path.name for path in (ROOT / "src" / "xcodec2").iterdir() if path.is_dir()),
]
NAMED_FILE = re.compile(
    rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:py|md|ipynb|toml|sh|c|svg|png)\b"
)


def test_files_that_pages_name_are_seen():
    text = "see `codec/network.py`, docs/a/b.md; not https://x.org/docs/c.md, my/codec/d.py"
    assert NAMED_FILE.findall(text) == ["codec/network.py", "docs/a/b.md"]


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "mkdocs.yml"),
        *(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md")),
        *(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.ipynb")),
        *(page.relative_to(ROOT).as_posix() for page in (ROOT / "src").rglob("*.md")),
    ],
)
def test_files_that_pages_name_exist(page):
    places = (ROOT, (ROOT / page).parent, ROOT / "docs", ROOT / "src" / "xcodec2")
    for name in NAMED_FILE.findall((ROOT / page).read_text(encoding="utf-8")):
        assert any((place / name).exists() for place in places), name
