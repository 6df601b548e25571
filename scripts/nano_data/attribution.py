"""The list of what the data is made of, for the data folder and for whoever ships weights trained
on it.
"""

from collections.abc import Sequence

from nano_data.sources import Source

INTRODUCTION = """# Where the speech of `nano` comes from

All recordings were taken from Debian packages, mixed to one channel and resampled to 16 kHz; those used for
training were also trimmed at both ends. Signals and other sounds that are no speech were left out. Thanks to
everybody who lent a voice.

| source | used for | Debian package | licence | by |
|---|---|---|---|---|"""


def attribution(sources: Sequence[Source]) -> str:
    """Markdown table of the sources with licence and credit."""
    rows = [f"| {s.name} | {_use(s)} | {s.package} | {s.licence} | {s.credit} |" for s in sources]
    return "\n".join((INTRODUCTION, *rows, ""))


def _use(source: Source) -> str:
    return "training and validation" if source.hold_out_every else source.role
