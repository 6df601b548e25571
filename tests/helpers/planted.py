"""Speech of pure tones, and codecs that know exactly what they are meant to know of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from xcodec2.evaluate import TokenizerSystem

RATE, HOP = 16_000, 320
PHONES = {"p": 300, "s": 500, "n": 700, "l": 900, "i": 1100, "a": 1300, "u": 1500}  # Hz
SPEAKERS = {"ann": 3000, "bob": 3300, "cy": 3600}


def tones(phones: list[tuple[str, float]], speaker: str, seed: int) -> np.ndarray:
    """(N,) float32: each phone's tone for its seconds, above the speaker's, with faint noise."""
    parts = []
    for phone, seconds in phones:
        time = np.arange(int(seconds * RATE)) / RATE
        both = (PHONES[phone], 1.0), (SPEAKERS[speaker], 0.5)
        parts.append(sum(level * np.sin(2 * np.pi * hertz * time) for hertz, level in both))
    whole = 0.2 * np.concatenate(parts)
    noise = np.random.default_rng(seed).standard_normal(len(whole))
    return (whole + 0.002 * noise).astype(np.float32)


def planted_corpus(folder: Path, recordings: int = 36) -> Path:
    """A manifest of tone speech with speakers and label files."""
    rng = np.random.default_rng(0)
    lines = ["id\tpath\tspeaker\tphones\ttext"]
    for number in range(recordings):
        speaker = list(SPEAKERS)[number % 3]
        order = [*rng.permutation(list(PHONES)), *rng.permutation(list(PHONES))]
        phones = [(str(phone), float(rng.integers(4, 8)) * 0.02) for phone in order]
        samples = tones(phones, speaker, number)
        soundfile.write(folder / f"{number}.wav", samples, RATE, subtype="FLOAT")
        ends = np.cumsum([seconds for _, seconds in phones])
        marks = "\n".join(f"{end:.3f} 0 {p}" for end, (p, _) in zip(ends, phones, strict=True))
        (folder / f"{number}.lab").write_text(f"#\n{marks}\n")
        text = "".join(phone for phone, _ in phones)
        lines.append(f"r{number}\t{number}.wav\t{speaker}\t{number}.lab\t{text}")
    (folder / "planted.tsv").write_text("\n".join(lines) + "\n")
    return folder / "planted.tsv"


class Planted:
    """Reads phone, speaker and fine level of each frame, and tells of them what its kind may."""

    sample_rate, frame_rate = RATE, 50.0
    sizes = {"oracle": 21, "phone-blind": 24, "speaker-blind": 7, "noise-sensitive": 336}  # noqa: RUF012

    def __init__(self, kind: str) -> None:
        self.kind, self.codebook_size = kind, self.sizes[kind]

    def encode(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        frames = audio[: len(audio) // HOP * HOP].reshape(-1, HOP)
        spectrum = np.abs(np.fft.rfft(frames))
        phone, speaker = (
            spectrum[:, [hertz // 50 for hertz in table.values()]].argmax(1)
            for table in (PHONES, SPEAKERS)
        )
        fine = (np.sqrt(np.square(frames, dtype=np.float64).mean(1)) * 1e5).astype(int) % 16
        both = phone * len(SPEAKERS) + speaker
        return {
            "oracle": both,
            "phone-blind": speaker * 8 + np.arange(len(frames)) * 5 % 8,
            "speaker-blind": phone,
            "noise-sensitive": both * 16 + fine,
        }[self.kind]

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return np.zeros(len(codes) * HOP, np.float32)


def planted_systems() -> list[TokenizerSystem]:
    """One of each kind."""
    kinds = ("oracle", "phone-blind", "speaker-blind", "noise-sensitive")
    return [TokenizerSystem(kind, Planted(kind)) for kind in kinds]
