"""Synthetic voices: what each one is, from a seed, and which are never trained on.

A pseudo-speaker is hibari's one voice with another pitch, other formants, another colour and
sometimes an accent. A Kokoro voice is a preset or a mix of three, in its own language or in English
with that language's accent.
"""

import random
from dataclasses import dataclass

PSEUDO_SPEAKERS = 120
UNHEARD_PSEUDO_SPEAKERS = 8  # the last ones, never trained on
MIXES = 40
# Kokoro's presets by language, and those among them that are never trained on, nor mixed in.
PRESETS = {
    "en": (
        *(
            "af_alloy",
            "af_aoede",
            "af_bella",
            "af_heart",
            "af_jessica",
            "af_kore",
            "af_nicole",
            "af_nova",
        ),
        *(
            "af_river",
            "af_sarah",
            "af_sky",
            "am_adam",
            "am_echo",
            "am_eric",
            "am_fenrir",
            "am_liam",
        ),
        *(
            "am_michael",
            "am_onyx",
            "am_puck",
            "am_santa",
            "bf_alice",
            "bf_emma",
            "bf_isabella",
            "bf_lily",
        ),
        *("bm_daniel", "bm_fable", "bm_george", "bm_lewis"),
    ),
    "es": ("ef_dora", "em_alex", "em_santa"),
    "fr": ("ff_siwis",),
    "hi": ("hf_alpha", "hf_beta", "hm_omega", "hm_psi"),
    "it": ("if_sara", "im_nicola"),
    "ja": ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo"),
    "pt": ("pf_dora", "pm_alex", "pm_santa"),
    "zh": (
        *("zf_xiaobei", "zf_xiaoni", "zf_xiaoxiao", "zf_xiaoyi"),
        *("zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang"),
    ),
}
UNHEARD = frozenset(
    (
        "af_nova",
        "am_eric",
        "am_onyx",
        "bf_lily",
        "bm_lewis",
        "em_alex",
        "hm_psi",
        "im_nicola",
        "jf_nezumi",
        "zf_xiaoyi",
    )
)
# Languages with a way from text to Kokoro's phonemes that Whisper base understands; it writes Hindi
# in Latin letters.
NATIVE = ("en", "es", "fr", "it", "pt", "ja")
# Sounds that a foreigner puts in another's place, in Kokoro's alphabet.
ACCENTS = (
    *(
        ("ð", "d"),
        ("θ", "t"),
        ("ð", "z"),
        ("θ", "s"),
        ("ɪ", "i"),
        ("ʊ", "u"),
        ("w", "v"),
        ("ɹ", "ɾ"),
        ("æ", "ɛ"),
    ),
    *(
        ("ʌ", "a"),
        ("ɜ", "ɛ"),
        ("ɑ", "ɔ"),
        ("ŋ", "n"),
        ("z", "s"),
        ("h", "x"),
        ("ɔ", "o"),
        ("ɾ", "t"),
        ("ə", "ɛ"),
    ),
)


@dataclass(frozen=True)
class PseudoSpeaker:
    """How hibari's spectrum and pitch are changed."""

    name: str
    pitch: float  # factor
    formants: float  # factor of their frequencies
    liveliness: float  # power of the pitch's distance from its middle
    pace: float
    breath_db: float  # of the noise in the voice
    tilt_db: tuple[float, ...]  # slow cosines over the spectrum
    accent: tuple[tuple[str, str], ...]
    split: str


@dataclass(frozen=True)
class KokoroVoice:
    name: str
    language: str  # that it speaks
    styles: tuple[str, ...]  # presets whose style is averaged
    shares: tuple[float, ...]
    pace: float
    split: str


def pseudo_speakers(seed: int) -> list[PseudoSpeaker]:
    """All of them; they differ from seed to seed."""
    trained = PSEUDO_SPEAKERS - UNHEARD_PSEUDO_SPEAKERS
    return [
        pseudo_speaker(f"hibari-{number:03}", "train" if number < trained else "unheard", seed)
        for number in range(PSEUDO_SPEAKERS)
    ]


def pseudo_speaker(name: str, split: str, seed: int) -> PseudoSpeaker:
    """Low voices come from long throats, so formants follow the pitch, loosely."""
    rng = random.Random(f"{seed} {name}")
    octaves = rng.uniform(-0.9, 0.5)  # from hibari's woman of about 200 Hz
    return PseudoSpeaker(
        name=name,
        pitch=2**octaves,
        formants=min(max(2 ** (octaves * 0.22 + rng.gauss(0, 0.06)), 0.84), 1.18),
        liveliness=rng.uniform(0.6, 1.5),
        pace=rng.uniform(0.8, 1.25),
        breath_db=rng.uniform(-3, 5),
        tilt_db=tuple(rng.gauss(0, 2.5) for _ in range(4)),
        accent=tuple(rng.sample(ACCENTS, rng.randint(1, 4))) if rng.random() < 0.4 else (),
        split=split,
    )


def kokoro_voices(seed: int) -> list[KokoroVoice]:
    """Presets in their own language, foreign presets in English, then mixes of presets that may be
    heard.
    """
    voices = []
    for language, names in PRESETS.items():
        for name in names:
            rng = random.Random(f"{seed} {name}")
            split = "unheard" if name in UNHEARD else "train"
            spoken = [own for own in (language, "en") if own in NATIVE]
            voices += [
                KokoroVoice(f"{name}-{own}", own, (name,), (1.0,), rng.uniform(0.85, 1.2), split)
                for own in dict.fromkeys(spoken)
            ]
    heard = [name for names in PRESETS.values() for name in names if name not in UNHEARD]
    for number in range(MIXES):
        rng = random.Random(f"{seed} mix {number}")
        shares = [rng.uniform(0.2, 1) for _ in range(3)]
        total = sum(shares)
        mixed = tuple(share / total for share in shares)
        voices.append(
            KokoroVoice(
                f"mix-{number:02}-en",
                "en",
                tuple(rng.sample(heard, 3)),
                mixed,
                rng.uniform(0.8, 1.25),
                "train",
            )
        )
    return voices
