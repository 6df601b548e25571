"""Any codec that comes as two programs: one writes a file of codes, the other reads it.

Commands are run as they are, without a shell, on files in a temporary folder. Bits are those of all
that the first one wrote.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from xcodec2.audio.io import load_audio
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE
from xcodec2.evaluate.systems.programs import run_program, short_digest
from xcodec2.evaluate.systems.system import Decoded

IN, CODE, OUT = "{in}", "{code}", "{out}"
SYNTAX = (
    "write cmd:ENCODE:DECODE or cmd@NAME:ENCODE:DECODE, where ENCODE has {in} and {code}, and "
    "DECODE has {code} and {out}: 'cmd:opusenc {in} {code}:opusdec {code} {out}'"
)


class CommandCodec:
    """The system of `--baseline cmd:ENCODE:DECODE`.

    `{in}` is a WAV file at 16 kHz (16 bit, one channel), `{code}` a place for a file or a folder,
    and `{out}` a place for an audio file at any rate, whose name ends in `.wav`. All that is
    written beside `{code}`, such as `{code}.opus`, counts.

    Args:
        text: What stands behind `cmd`: `:ENCODE:DECODE` or `@NAME:ENCODE:DECODE`.

    Raises:
        XCodec2Error: It is not of this form, or a program is not there.
    """

    def __init__(self, text: str) -> None:
        named = re.match(r"(?:@([\w.+-]+))?:", text)
        if not named:
            raise XCodec2Error(f"cmd{text}: {SYNTAX}")
        self.encode, self.decode = split_commands(text[named.end() :])
        program = Path(self.encode[0]).name
        self.name = named[1] or f"cmd:{program}"
        used = [resolved(command[0]) for command in (self.encode, self.decode)]
        # Programs, and what their arguments name, such as weights: other files are other results.
        files = [*used, *(one for one in self.encode[1:] + self.decode[1:] if Path(one).is_file())]
        digests = [f"{Path(one).name} {short_digest(Path(one))}" for one in dict.fromkeys(files)]
        shown = " and ".join(shlex.join(command) for command in (self.encode, self.decode))
        self.implementation = f"{shown} ({', '.join(digests)})"
        self.key = f"cmd:{self.name}:{self.implementation}"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz, there and back.

        Raises:
            XCodec2Error: A program fails, or leaves no file.
        """
        with tempfile.TemporaryDirectory(prefix="xcodec2-") as folder:
            places = {IN: "in.wav", CODE: "coded/code", OUT: "decoded/out.wav"}
            places = {name: str(Path(folder) / place) for name, place in places.items()}
            try:
                audio, written = self.in_places(waveform, Path(folder), places)
            except XCodec2Error as problem:
                # The folder has another name each time: reasons would never be the same.
                said = str(problem)
                for name, place in places.items():
                    said = said.replace(place, name)
                raise XCodec2Error(said.replace(f"{folder}/", "")) from problem
        return Decoded(audio, bits=8.0 * len(written), written=written)

    def in_places(
        self, waveform: np.ndarray, folder: Path, places: dict[str, str]
    ) -> tuple[np.ndarray, bytes]:
        """(N,) at 16 kHz → (M,) float32 at 16 kHz, and all that the first command wrote.

        Raises:
            XCodec2Error: As `__call__`.
        """
        coded, decoded = folder / "coded", folder / "decoded"
        coded.mkdir()
        decoded.mkdir()
        soundfile.write(places[IN], waveform, SAMPLE_RATE, subtype="PCM_16")
        run_program(*filled(self.encode, places))
        written = b"".join(one.read_bytes() for one in sorted(files_below(coded)))
        if not written:
            raise XCodec2Error(f"{self.encode[0]} left nothing in the place of {CODE}")
        Path(places[IN]).unlink(missing_ok=True)  # so that no decoder can look at it
        run_program(*filled(self.decode, places))
        found = files_below(decoded)
        if len(found) != 1:
            raise XCodec2Error(
                f"{self.decode[0]} left {len(found)} files in the place of {OUT}, not one"
            )
        audio = load_audio(str(found[0]), target_rate=SAMPLE_RATE).waveform.numpy()
        return np.ascontiguousarray(audio, np.float32), written


def split_commands(text: str) -> tuple[list[str], list[str]]:
    """The two commands: cut at the colon outside of quotes that leaves each its places.

    Where several do, the one before a program that is installed, else the first.

    Args:
        text: `ENCODE:DECODE`, each quoted as for a shell.

    Returns:
        The words of both.

    Raises:
        XCodec2Error: No colon does so, or several do before programs that are installed.
    """
    found = []
    for place in (match.start() for match in re.finditer(":", text)):
        try:
            encode, decode = (shlex.split(part) for part in (text[:place], text[place + 1 :]))
        except ValueError:  # the colon stands in quotes
            continue
        left, right = " ".join(encode), " ".join(decode)
        if IN in left and CODE in left and CODE in right and OUT in right and IN not in right:
            found.append((encode, decode))
    if not found:
        raise XCodec2Error(f"cmd:{text}: {SYNTAX}")
    there = [both for both in found if shutil.which(both[1][0])]
    if len(there) > 1:
        raise XCodec2Error(f"cmd:{text}: put colons that do not part the commands in quotes")
    return (there or found)[0]


def filled(command: list[str], places: dict[str, str]) -> list[str]:
    """The words of a command with files in their places, each still one word."""
    return [re.sub(r"\{in\}|\{code\}|\{out\}", lambda m: places[m[0]], word) for word in command]


def resolved(program: str) -> str:
    """Where a program is. Raises XCodec2Error when it is nowhere."""
    found = shutil.which(program)
    if not found:
        raise XCodec2Error(f"{program}: no such program; give its path, or install it")
    return found


def files_below(folder: Path) -> list[Path]:
    """All regular files; what a link points at is no file of a codec."""
    return [one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()]
