"""Phones by manner and place: which ones a codec keeps apart, and which it takes for each other.

Labels are read in the alphabet that knows most of them: IPA, ARPABET (CMU's dictionary, Montreal
Forced Aligner, TIMIT), or the one of festvox-ru.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from xcodec2.corpus.labels import phone_of_frames
from xcodec2.evaluate.probing.abx import SILENCES
from xcodec2.evaluate.probing.codes import usual_phones
from xcodec2.evaluate.probing.metric import TokenMetric, Tokens
from xcodec2.evaluate.probing.split import for_training

MIN_KNOWN = 0.8  # share of labeled frames that an alphabet must know
MAX_CONFUSIONS = 10


class Sound(NamedTuple):
    """A phone's manner, place (a vowel's backness) and whether it is voiced."""

    manner: str
    place: str
    voiced: bool


CONSONANTS = {  # place → manner → IPA
    "labial": {"plosive": "p b", "nasal": "m ɱ", "fricative": "f ɸ v β", "approximant": "ʍ w ʋ"},
    "coronal": {
        "plosive": "t ʈ d ɖ", "nasal": "n ɳ", "fricative": "s θ z ð",
        "affricate": "ts dz", "approximant": "l r ɾ ɹ ɻ ɫ ɭ ɽ",
    },
    "palatal": {
        "plosive": "c ɟ", "nasal": "ɲ", "fricative": "ʃ ʂ ɕ ç ʒ ʐ ʑ ʝ",
        "affricate": "tʃ tɕ tʂ dʒ dʑ dʐ", "approximant": "j ʎ ɥ",
    },
    "dorsal": {
        "plosive": "k q ɡ ɢ", "nasal": "ŋ ɴ", "fricative": "x χ ɣ ʁ", "approximant": "ɰ ʀ",
    },
    "glottal": {"plosive": "ʔ", "fricative": "h ħ ɦ ʕ"},
}  # fmt: skip
VOICELESS = frozenset(("p", "f", "ɸ", "ʍ", "t", "ʈ", "s", "θ", "ts", "c", "ʃ", "ʂ", "ɕ", "ç", "tʃ",
                       "tɕ", "tʂ", "k", "q", "x", "χ", "ʔ", "h", "ħ"))  # fmt: skip
VOWELS = {  # backness → height → IPA
    "front": {"close vowel": "i y ɪ ʏ", "mid vowel": "e ø ɛ œ", "open vowel": "æ a ɶ"},
    "central": {"close vowel": "ɨ ʉ", "mid vowel": "ə ɘ ɵ ɜ ɞ ɚ ɝ", "open vowel": "ɐ"},
    "back": {"close vowel": "u ɯ ʊ", "mid vowel": "o ɤ ɔ ʌ", "open vowel": "ɑ ɒ"},
}
IPA = {
    symbol: Sound(manner, place, symbol not in VOICELESS)
    for place, manners in CONSONANTS.items()
    for manner, symbols in manners.items()
    for symbol in symbols.split()
} | {
    symbol: Sound(height, place, True)
    for place, heights in VOWELS.items()
    for height, symbols in heights.items()
    for symbol in symbols.split()
}


def sound_table(pairs: str) -> dict[str, Sound]:
    """`label=ipa` pairs as a table."""
    return {label: IPA[ipa] for label, ipa in (pair.split("=") for pair in pairs.split())}


ARPABET = sound_table(
    "p=p b=b t=t d=d k=k g=ɡ q=ʔ f=f v=v th=θ dh=ð s=s z=z sh=ʃ zh=ʒ ch=tʃ jh=dʒ hh=h hv=ɦ m=m n=n "
    "ng=ŋ em=m en=n eng=ŋ nx=ɾ dx=ɾ l=l el=l r=ɹ w=w y=j iy=i ih=ɪ ix=ɨ eh=ɛ ey=e ae=æ aa=ɑ ao=ɔ "
    "ow=o uh=ʊ uw=u ux=ʉ ah=ʌ ax=ə ax-h=ə er=ɝ axr=ɚ ay=a aw=a oy=ɔ bcl=b dcl=d gcl=ɡ pcl=p tcl=t "
    "kcl=k"
)
FESTVOX_RU = sound_table(
    "p=p pp=p b=b bb=b t=t tt=t d=d dd=d k=k kk=k g=ɡ gg=ɡ f=f ff=f v=v vv=v s=s ss=s z=z zz=z "
    "sh=ʂ zh=ʐ sch=ɕ ch=tɕ c=ts h=x hh=x m=m mm=m n=n nn=n l=ɫ ll=l r=r rr=r j=j a=ɐ aa=a ay=ə "
    "ae=ɪ e=e ee=e i=i ii=i o=o oo=o u=u uu=u ur=ʊ y=ɨ yy=ɨ"
)


def from_ipa(label: str) -> Sound | None:
    """A sound of IPA, whatever its length, stress or marks; a diphthong's first."""
    bare = "".join(
        "ɡ" if one == "g" else one
        for one in unicodedata.normalize("NFD", label)
        if unicodedata.category(one)[0] == "L" and unicodedata.category(one) != "Lm"
    )
    return IPA.get(bare) or IPA.get(bare[:2]) or IPA.get(bare[:1])


def sounds_of(labels: Mapping[str, int]) -> dict[str, Sound] | None:
    """What the labels of a corpus stand for.

    Args:
        labels: Label → how many frames it has.

    Returns:
        Label → sound, of those that are known and no silence; None where no alphabet knows four
        fifths of the frames.
    """
    spoken = {label: count for label, count in labels.items() if label not in SILENCES}
    found: list[dict[str, Sound]] = [
        {label: sound for label in spoken if (sound := from_ipa(label))}
    ]
    for table, stressed in ((ARPABET, True), (FESTVOX_RU, False)):
        keys = {x: x.lower().rstrip("012") if stressed else x for x in spoken}
        found.append({label: table[key] for label, key in keys.items() if key in table})
    # An alphabet made for other languages reads `sh` as an s: the one whose own symbols they are.
    exact = {label: IPA[label] for label in spoken if label in IPA}
    known = [sum(spoken[label] for label in table) for table in (exact, *found[1:])]
    best = max(range(3), key=lambda place: known[place])
    if best == 0 or known[best] < MIN_KNOWN * sum(spoken.values()):
        best = 0  # IPA with marks
    total = sum(spoken[label] for label in found[best])
    return found[best] if spoken and total >= MIN_KNOWN * sum(spoken.values()) else None


class Articulation(TokenMetric):
    """On held-out recordings: how often a code's usual phone is of the right manner, place and
    voicing, each manner's own share of right phones, and the most frequent confusions.
    """

    name = "articulation"
    lines: ClassVar[Mapping[str, str]] = {
        "manner right, held out": "manner:.3f",
        "place right, held out": "place:.3f",
        "voicing right, held out": "voicing:.3f",
        **{
            f"phone right: {kind}s": f"right_{kind.replace(' ', '_')}:.3f"
            for kind in ("plosive", "affricate", "fricative", "nasal", "approximant", "close vowel",
                         "mid vowel", "open vowel")
        },
        "most confused": "confusions_text:s",
    }  # fmt: skip

    def __call__(self, tokens: Tokens) -> dict[str, Any] | None:
        """Shares of frames of sounds; None without labels in a known alphabet or held-out ones."""
        codes: list[int] = []
        phones: list[str] = []
        training: list[bool] = []
        for row, these in zip(tokens.rows, tokens.codes, strict=True):
            if row["id"] in tokens.labels:
                named = phone_of_frames(tokens.labels[row["id"]], len(these), tokens.frame_rate)
                codes += [c for c, phone in zip(these, named, strict=True) if phone is not None]
                phones += [phone for phone in named if phone is not None]
                training += [for_training(row["id"])] * (len(phones) - len(training))
        learn = np.array(training, dtype=bool)
        if not phones or learn.all() or not learn.any():
            return None
        sounds = sounds_of(Counter(phones))
        if sounds is None:
            return None
        guessed = usual_phones(np.array(codes), np.array(phones), learn)[~learn]
        wanted = np.array(phones)[~learn]
        spoken = np.array([phone in sounds for phone in wanted], dtype=bool)
        pairs = Counter(zip(wanted[spoken].tolist(), guessed[spoken].tolist(), strict=True))
        return shares(pairs, sounds)


def shares(pairs: Mapping[tuple[str, str], int], sounds: Mapping[str, Sound]) -> dict[str, Any]:
    """What phones were taken for.

    Args:
        pairs: (phone, phone that the code stands for) → frames; the first one is a sound.
        sounds: Phone → its features; others, such as silence, share none.

    Returns:
        Shares by feature, shares of right phones by manner, and confusions, the most frequent
        first.
    """
    total = sum(pairs.values())
    result: dict[str, Any] = {"frames": total}
    for feature, field in (("manner", "manner"), ("place", "place"), ("voicing", "voiced")):
        same = sum(
            count
            for (phone, guess), count in pairs.items()
            if guess in sounds and getattr(sounds[phone], field) == getattr(sounds[guess], field)
        )
        result[feature] = same / total if total else None
    of_manner: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for (phone, guess), count in pairs.items():
        of_manner[sounds[phone].manner] += count
        right[sounds[phone].manner] += count if phone == guess else 0
    for manner, count in of_manner.items():
        result[f"right_{manner.replace(' ', '_')}"] = right[manner] / count
    wrong = sorted(
        ((count, *pair) for pair, count in pairs.items() if pair[0] != pair[1]),
        key=lambda found: (-found[0], found[1:]),
    )[:MAX_CONFUSIONS]
    result["confusions"] = [
        {"phone": phone, "taken_for": guess, "share": count / total}
        for count, phone, guess in wrong
    ]
    result["confusions_text"] = ", ".join(f"{phone} as {guess}" for _, phone, guess in wrong[:5])
    return result
