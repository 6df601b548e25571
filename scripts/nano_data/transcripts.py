"""Readers of the transcripts that ship beside the audio.

A reader takes one text file (its path inside the package, and its content) and yields (key, text)
pairs. A key is the end of the path of the audio it belongs to, without suffix: `vm-login`,
`digits/h-6`, or all of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

Reader = Callable[[PurePosixPath, str], Iterator[tuple[str, str]]]

FESTVOX_LINE = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*\)')
ASTERISK_LINE = re.compile(r"([^;:\s]+):\s+(.+)")
TUXPAINT_LINE = re.compile(r"([\w@]+)\.utf8=(.+)")
FILLETS_DIALOG = re.compile(r'dialogId\("([^"]+)".*\)\s*dialogStr\(\s*"(.+)"\)')


def festvox(path: PurePosixPath, content: str) -> Iterator[tuple[str, str]]:
    """Festival's `txt.done.data`: `( ru_0001 "text" )`; plus signs there mark the stressed vowels
    and go.
    """
    for line in content.splitlines():
        if match := FESTVOX_LINE.match(line):
            yield match[1], match[2].replace("+", "")


def asterisk(path: PurePosixPath, content: str) -> Iterator[tuple[str, str]]:
    """Asterisk's `core-sounds-LANGUAGE.txt`: `digits/h-6: sixth`, comments after a semicolon."""
    for line in content.splitlines():
        if match := ASTERISK_LINE.match(line):
            yield match[1], match[2]


def tuxpaint(path: PurePosixPath, content: str) -> Iterator[tuple[str, str]]:
    """A stamp's description: English on the first line, then `fr.utf8=...` for each translation."""
    english, *translations = content.splitlines()
    audio = f"{path.with_suffix('')}_desc"
    yield audio, english
    for line in translations:
        if match := TUXPAINT_LINE.match(line):
            yield f"{audio}_{match[1]}", match[2]


def fillets(path: PurePosixPath, content: str) -> Iterator[tuple[str, str]]:
    """A level's `dialogs_LANGUAGE.lua`; as a few ids come back in other levels, both keys are
    given.
    """
    level, language = path.parent.name, path.stem.rpartition("_")[2]
    for match in FILLETS_DIALOG.finditer(content):
        yield f"{level}/{language}/{match[1]}", match[2]
        yield match[1], match[2]


def text_of(audio: PurePosixPath, texts: Mapping[str, str]) -> str:
    """The text whose key matches the longest end of the audio's path, on one line; empty if there
    is none.
    """
    parts = audio.with_suffix("").parts
    for start in range(len(parts)):
        if text := texts.get("/".join(parts[start:])):
            return " ".join(text.split())
    return ""
