"""The front end: English text → words as they are read → phonemes.

    normalize     "Dr. Smith paid $5." → "Doctor Smith paid five dollars."
    phonemes      "Dr. Smith paid $5." → "dˈɑktəɹ smˈɪθ pˈAd fˈIv dˈɑləɹz."

`characters` folds all of Unicode into few characters, `rules` rewrites a text in one pass by what
`names`, `calendar`, `quantities` and `abbreviations` say, `tables` holds what short forms stand
for, and `phonemes` asks the pronunciation library.
"""

from __future__ import annotations

from xcodec2.llasa.text.normalize import normalize
from xcodec2.llasa.text.phonemes import Phonemes, looks_like_phonemes, phonemes

__all__ = ["Phonemes", "looks_like_phonemes", "normalize", "phonemes"]


def __dir__() -> list[str]:
    return sorted(__all__)
