"""Systems by their names on the command line."""

from __future__ import annotations

import re

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.systems import classic
from xcodec2.evaluate.systems.changes import Change
from xcodec2.evaluate.systems.command import CommandCodec
from xcodec2.evaluate.systems.hub import HubSystem
from xcodec2.evaluate.systems.kmeans import kmeans_system
from xcodec2.evaluate.systems.system import System


def baseline(name: str) -> System:
    """The system of `--baseline NAME`.

    Args:
        name: `original`, `mulaw`, `opus@RATE`, `speex@RATE`, `codec2@MODE` (rates such as `6k` or
            `6000`, bits a second), `hub:ID[@RATE]` for EnCodec, DAC, Mimi, X-Codec and XCodec2
            as transformers has them, `cmd:ENCODE:DECODE` for two programs, `change:NAME` for
            speech changed in a known way, or `kmeans:SOURCE@RATE` for k-means of SOURCE's spectra.

    Returns:
        The system, ready to run.

    Raises:
        XCodec2Error: There is no such baseline, or what it needs is not installed.
    """
    if re.match("cmd[:@]", name):
        return CommandCodec(name.removeprefix("cmd"))
    if name.startswith("change:"):
        return Change(name.removeprefix("change:"))
    if name.startswith("kmeans:") and "@" in name:
        source, _, rate = name.removeprefix("kmeans:").rpartition("@")
        return kmeans_system(source, bit_rate(rate))
    kind, _, setting = name.partition("@")
    if kind.startswith("hub:"):
        return HubSystem(kind.removeprefix("hub:"), bit_rate(setting) if setting else None)
    if kind in ("original", "mulaw") and not setting:
        return classic.Original() if kind == "original" else classic.MuLaw()
    if kind == "codec2" and setting:
        return classic.Codec2(setting)
    if kind in ("opus", "speex") and setting:
        return (classic.Opus if kind == "opus" else classic.Speex)(bit_rate(setting))
    raise XCodec2Error(
        f"no baseline {name!r}; there are original, mulaw, opus@RATE, speex@RATE, codec2@MODE, "
        "hub:ID[@RATE], cmd:ENCODE:DECODE, kmeans:SOURCE@RATE and change:NAME, such as opus@6k and "
        "codec2@1600"
    )


def bit_rate(text: str) -> int:
    """Read a bit rate.

    Args:
        text: `6k`, `1.5k` or `6000`.

    Returns:
        Bits a second.

    Raises:
        XCodec2Error: It is none, or not between 100 and a million.
    """
    try:
        value = float(text[:-1]) * 1000 if text.endswith("k") else float(text)
        if not 100 <= value <= 1_000_000:
            raise ValueError
    except ValueError as problem:
        raise XCodec2Error(f"{text!r} is no bit rate: write 6k or 6000, bits a second") from problem
    return round(value)
