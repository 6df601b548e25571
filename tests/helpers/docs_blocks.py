"""The fenced blocks of README and docs, and what they need in order to run as they are printed.

A block is run unless an HTML comment right before it says why not, `<!-- not run: REASON -->`, or
one anywhere in the page says it of all, `<!-- blocks not run: REASON -->`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from paths import HELPERS, ROOT
from tiny import ASSETS, random_model, speech

from xcodec2.audio.io import save_audio
from xcodec2.llasa.lm import BUNDLED, METADATA

PAGES = {
    page.relative_to(ROOT).as_posix(): page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if page.name != "cli.md"  # made from the commands' own help
}
SHELL = ("", "bash", "sh", "shell", "console")
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?^```(?P<language>\w*)\n(?P<content>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
WHOLE_PAGE = re.compile(r"<!-- blocks not run: ([^\n]+?) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block. not_run: the reason, None for one that runs."""

    language: str
    content: str
    not_run: str | None

    @property
    def is_shell(self) -> bool:
        return self.language in SHELL

    def commands(self) -> list[list[str]]:
        """The words of each of its `xcodec2` commands, up to a pipe or a redirection."""
        joined = self.content.replace("\\\n", " ")
        lines = [line.strip() for line in joined.splitlines()]
        found = []
        for line in lines:
            if line.startswith("xcodec2 "):
                words = shlex.split(line, comments=True)
                ends = [i for i, word in enumerate(words) if word in ("|", ">", "&", "&&")]
                found.append(words[: min(ends, default=len(words))])
        return found


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    whole = WHOLE_PAGE.search(text)
    return [
        Block(match["language"], match["content"], whole[1] if whole else match["reason"])
        for match in FENCE.finditer(text)
    ]


def lay_ready(folder: Path) -> None:
    """The files and folders that the docs speak of: recordings, a corpus, and stand-ins where a
    Hub id names weights that cannot be downloaded here.
    """
    for name in ("speech.mp3", "speech.wav", "me.wav"):
        save_audio(folder / name, speech()[:32_000], 16_000)
    for name in ("recordings", "corpus"):
        (folder / name).mkdir()
    shutil.copy(ASSETS / "demo.flac", folder / "recordings" / "one.flac")
    save_audio(folder / "recordings" / "two.flac", speech()[20_000:60_000], 16_000)
    texts = {"hello": "Hello there.", "bye": "Good bye."}
    for number, name in enumerate(texts):
        clip = speech()[number * 20_000 : number * 20_000 + 16_000]
        save_audio(folder / "corpus" / f"{name}.flac", clip, 16_000)
    lines = [f"{name}.flac\t{text}\n" for name, text in texts.items()]
    (folder / "corpus" / "manifest.tsv").write_text("".join(["path\ttext\n", *lines]))
    random_model().save_pretrained(folder / "HKUSTAudio" / "xcodec2")
    published = folder / "HKUSTAudio" / "Llasa-1B"  # published models have no llasa.json
    shutil.copytree(BUNDLED, published, ignore=shutil.ignore_patterns(METADATA, "README.md"))
    lay_programs(folder / ".bin")


def lay_programs(folder: Path) -> None:
    """pip, which has done its work; a player without a loudspeaker; and llama-server, which is
    llama.cpp's own server as xllamacpp has it.
    """
    folder.mkdir()
    server = HELPERS / "llama_server.py"
    programs = {
        "pip": "exit 0",
        "aplay": "cat > /dev/null",
        "llama-server": f'exec "{sys.executable}" "{server}" "$2" "$4" < <(sleep 600)',
    }
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)


def as_script(page: list[Block]) -> str:
    """All blocks of a page that run, as one script that stops at the first failure and names it."""
    parts = ["set -euo pipefail", "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR"]
    for block in page:
        if block.not_run:
            continue
        if block.is_shell:
            parts.append(block.content)
        elif block.language == "python":
            parts.append(f"python - <<'END_OF_PYTHON'\n{block.content}END_OF_PYTHON")
    return "\n".join(parts)
