"""What one hears of a language model that speaks: when the sound begins, how much faster than real
time it comes, and whether a long text stays in one voice.

    python benchmarks/llasa_speech.py                                   # the bundled model
    python benchmarks/llasa_speech.py --lm runs/mine/model --voice me.wav --voice-text "I say it."
    python benchmarks/llasa_speech.py --lm runs/mine/model --texts sentences.txt --similarity

First sound: seconds from the start of generation to the first samples of a stream; the median and
the slowest of the texts, each spoken once, after one that warms up. Real-time factor: CPU seconds
of the whole, in one thread, by seconds of speech. Ends: texts that the model ended by itself.
Longest: codes by what the front end expects of the phonemes (`xcodec2.llasa.guard`).
Long text: all texts as one, spoken piece by piece; loudness of the pieces, and, with --similarity
(the extra `evaluate`), of each piece to the first, by a speaker encoder.
Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from xcodec2 import evaluators
from xcodec2.llasa import Sampling, Speaker
from xcodec2.llasa.guard import expected_codes
from xcodec2.llasa.joining import spoken_part
from xcodec2.llasa.speaker import Spoken
from xcodec2.llasa.text import phonemes
from xcodec2.llasa.voices import Voice

#: For a model that reads; the bundled one is given what it knows.
TEXTS = (
    "The train to Leeds leaves at half past nine.",
    "She left her keys on the kitchen table, as always.",
    "Prices rose by 3.5% in 2024, the bank said on Monday.",
    "Could you turn off the lights in the garage, please?",
    "Nobody had seen the old lighthouse keeper since October.",
    "Your package arrives on Tuesday before 4 p.m.",
)


def main() -> None:
    """Parse, speak, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lm", help="a folder or a Hub id (bundled)")
    parser.add_argument("--model", help="the codec (the LM's own)")
    parser.add_argument("--texts", type=Path, help="a text a line")
    parser.add_argument("--voice", help="a clip")
    parser.add_argument("--voice-text", default="")
    parser.add_argument("--temperature", type=float, default=Sampling().temperature)
    parser.add_argument("--similarity", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    speaker = Speaker.from_pretrained(args.lm, args.model)
    texts = list(speaker.backend.metadata.texts or TEXTS)
    if args.texts:
        texts = [line for line in args.texts.read_text("utf-8").splitlines() if line.strip()]
    voice = speaker.voice(args.voice, args.voice_text) if args.voice else None
    sampling = Sampling(temperature=args.temperature)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = streamed(speaker, texts, voice, sampling)
        figures["long_text"] = long_text(speaker, texts, voice, sampling, args.similarity)
    print(json.dumps(figures, indent=1))


def streamed(speaker: Speaker, texts: list[str], voice: Voice | None, sampling: Sampling) -> dict:
    """Each text as a stream."""
    waits: list[float] = []
    cpu = speech = 0.0
    for number, text in enumerate([texts[0], *texts]):
        start, begun, first, samples = time.perf_counter(), time.process_time(), 0.0, 0
        for chunk in speaker.stream(text, voice=voice, sampling=sampling, seed=number):
            first = first or time.perf_counter() - start
            samples += len(chunk)
        if number:
            waits.append(first)
            cpu += time.process_time() - begun
            speech += samples / speaker.codec.sample_rate
    return {
        "texts": len(texts),
        "first_sound_seconds": {"median": statistics.median(waits), "slowest": max(waits)},
        "real_time_factor": cpu / speech,
    }


def long_text(
    speaker: Speaker, texts: list[str], voice: Voice | None, sampling: Sampling, similarity: bool
) -> dict:
    """All texts as one."""
    spoken = speaker.speak(" ".join(texts), voice=voice, sampling=sampling)
    parts = waveforms(speaker, spoken, voice)
    rate = speaker.codec.sample_rate
    loud = [part.power for one in parts if (part := spoken_part(one, rate)) is not None]
    codes = [
        len(item.codes) / expected_codes(len(phonemes(text)), speaker.codec.frame_rate)
        for text, item in spoken.pieces
    ]
    found = {
        "pieces": len(parts),
        "seconds": len(spoken.waveform) / rate,
        "ended": float(np.mean([item.finished for _, item in spoken.pieces])),
        "longest": max(codes),
        "loudness_spread_db_before_joining": float(np.ptp(10 * np.log10(loud))),
    }
    if similarity:
        encoder = evaluators.speaker_encoder()
        vectors = [encoder.embed(at_16_khz(part, rate)) for part in parts]
        to_first = [float(vector @ vectors[0]) for vector in vectors[1:]]
        found["similarity_to_the_first"] = {"least": min(to_first), "last": to_first[-1]}
    return found


def waveforms(speaker: Speaker, spoken: Spoken, voice: Voice | None) -> list[np.ndarray]:
    """What was said in each piece, as it was decoded."""
    waveform = np.asarray(speaker.decode(spoken.codes, voice))
    ends = np.cumsum([len(item.codes) * speaker.hop for _, item in spoken.pieces])
    return np.split(waveform, ends[:-1])


def at_16_khz(waveform: np.ndarray, rate: int) -> np.ndarray:
    """(N,) for the speaker encoder."""
    from soxr import resample

    return resample(waveform, rate, 16_000) if rate != 16_000 else waveform


if __name__ == "__main__":
    main()
