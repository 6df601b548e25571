"""Transcripts as text, JSON and subtitles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from xcodec2.transcribe.decoding import Timed, Transcript

FORMATS = ("text", "json", "srt", "vtt")
CUE_SECONDS, CUE_CHARACTERS, CUE_PAUSE = 6.0, 80, 0.6  # of a subtitle, and what ends it


def format_transcript(transcript: Transcript, form: str) -> str:
    """A transcript in one of `FORMATS`, with a line break at its end."""
    if form == "json":
        facts = {"text": transcript.text, **asdict(transcript)}
        if not transcript.segments:
            del facts["segments"]
        return f"{json.dumps(facts, ensure_ascii=False)}\n"
    if form == "text":
        return f"{transcript.text}\n"
    comma = "," if form == "srt" else "."
    blocks = [] if form == "srt" else ["WEBVTT\n"]
    for number, cue in enumerate(cues(transcript.words or transcript.segments), 1):
        times = f"{clock(cue.start, comma)} --> {clock(cue.end, comma)}"
        head = f"{number}\n" if form == "srt" else ""
        blocks.append(f"{head}{times}\n{cue.text}\n")
    return "\n".join(blocks)


def cues(words: list[Timed]) -> Iterator[Timed]:
    """Words in subtitles: a pause, a length or a duration ends one."""
    cue: Timed | None = None
    for word in words:
        if cue is not None:
            long = len(cue.text) + 1 + len(word.text) > CUE_CHARACTERS
            if long or word.end - cue.start > CUE_SECONDS or word.start - cue.end > CUE_PAUSE:
                yield cue
                cue = None
        cue = Timed(f"{cue.text} {word.text}", cue.start, word.end) if cue else word
    if cue is not None:
        yield cue


def clock(seconds: float, comma: str) -> str:
    """1.5 → 00:00:01,500."""
    total = round(seconds * 1000)
    return (
        f"{total // 3_600_000:02}:{total // 60_000 % 60:02}:{total // 1000 % 60:02}"
        f"{comma}{total % 1000:03}"
    )
