"""k-means of mel spectra: the simplest tokenizer there is, at any rate, for others to beat."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from xcodec2.corpus import Recording, read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, load_recording
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem
from xcodec2.extras import require

FRAME_RATE = 100.0
HOP, WINDOW, MELS = 160, 1024, 64
MAX_FRAMES = 40_000  # to learn from
ROUNDS = 20
ROUNDS_OF_PHASES = 32
FLOOR = 1e-5


class KMeansTokenizer:
    """One code for each 10 ms: the nearest of K mel spectra; decoded by Griffin and Lim (1984).

    Args:
        codebook: (K, 64) log-mel spectra.
    """

    sample_rate, frame_rate = SAMPLE_RATE, FRAME_RATE

    def __init__(self, codebook: np.ndarray) -> None:
        self.codebook = codebook
        self.codebook_size = len(codebook)

    def encode(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """(N,) floats at 16 kHz → (T,) codes. Raises XCodec2Error for another rate."""
        if sample_rate != SAMPLE_RATE:
            raise XCodec2Error(f"k-means reads speech at {SAMPLE_RATE} Hz, not {sample_rate}")
        vq = require("scipy.cluster.vq", extra="evaluate", purpose="k-means")
        codes: np.ndarray = vq.vq(log_mels(audio), self.codebook)[0]
        return codes.astype(np.int64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """(T,) codes → (T · 160,) float32."""
        mels = torch.from_numpy(np.exp(self.codebook[codes]).T.astype(np.float32))
        magnitudes = (torch.linalg.pinv(filters()) @ mels).clamp(min=0)
        window = torch.hann_window(WINDOW, dtype=torch.float32, device="cpu")
        size = len(codes) * HOP
        generator = torch.Generator().manual_seed(0)
        turns = torch.rand(magnitudes.shape, generator=generator, dtype=torch.float32, device="cpu")
        phases = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
        options: dict[str, Any] = {"n_fft": WINDOW, "hop_length": HOP, "window": window}
        for _ in range(ROUNDS_OF_PHASES):
            waveform = torch.istft(magnitudes * phases, length=size - 1, **options)
            again = torch.stft(waveform, return_complex=True, pad_mode="constant", **options)
            phases = again / again.abs().clamp(min=1e-8)
        return np.pad(waveform.numpy(), (0, 1))


def log_mels(audio: np.ndarray) -> np.ndarray:
    """(N,) at 16 kHz → (T, 64) natural logarithms of mel magnitudes, T = ⌈N / 160⌉."""
    frames = max(1, -(-len(audio) // HOP))
    padded = np.zeros(frames * HOP - 1, np.float32)
    padded[: len(audio)] = audio[: len(padded)]
    window = torch.hann_window(WINDOW, dtype=torch.float32, device="cpu")
    spectrum = torch.stft(
        torch.from_numpy(padded), WINDOW, HOP, window=window, pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    mels = filters() @ spectrum.abs()
    return mels.clamp(min=FLOOR).log().T.numpy().astype(np.float64)


@lru_cache
def filters() -> torch.Tensor:
    """(64, 513) triangles, evenly spaced in mel, each of sum 1."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (
        10 ** (torch.linspace(0, top, MELS + 2, dtype=torch.float64, device="cpu") / 2595) - 1
    )
    hertz = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.float64, device="cpu")
    up = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(up, down).clamp(min=0)
    return (triangles / triangles.sum(1, keepdim=True).clamp(min=1e-12)).float()


def kmeans_system(source: str, bit_rate: int) -> TokenizerSystem:
    """The system of `--baseline kmeans:SOURCE@RATE`.

    Args:
        source: Speech to learn from, as `read_corpus` takes it: seven minutes of it, of recordings
            picked by their ids, so that a list sorted by voice does not give one voice.
        bit_rate: Bits a second: 100 codes of as many bits as fit.

    Returns:
        The system; the same source always gives the same one.

    Raises:
        XCodec2Error: There is no speech, or too little for so many codes.
    """
    size = 2 ** round(bit_rate / FRAME_RATE)
    name = f"kmeans@{bit_rate / 1000:g}k"
    parts: list[np.ndarray] = []
    digest = hashlib.sha256()
    for recording in sorted(read_corpus(source), key=digest_of_id):
        try:
            waveform, content = load_recording(recording)
        except XCodec2Error:
            continue
        parts.append(log_mels(waveform))
        digest.update(content.encode())
        if sum(map(len, parts)) >= MAX_FRAMES:
            break
    frames = np.concatenate(parts)[:MAX_FRAMES] if parts else np.zeros((0, MELS))
    if len(frames) < 2 * size or size < 2:
        raise XCodec2Error(
            f"{name}: {len(frames) / FRAME_RATE:.0f} s of speech in {source} are too few for "
            f"{size} codes"
        )
    vq = require("scipy.cluster.vq", extra="evaluate", purpose="k-means")
    distinct = np.unique(frames, axis=0)  # silence is one code and no more
    if len(distinct) < size:
        raise XCodec2Error(f"{name}: {source} has {len(distinct)} different frames, too few")
    start = distinct[np.random.default_rng(0).choice(len(distinct), size, replace=False)]
    codebook, _ = vq.kmeans2(frames, start, iter=ROUNDS, minit="matrix")
    described = f"k-means of {MELS} log mels, {size} codes at {FRAME_RATE:g} Hz, of {source}"
    key = f"kmeans-2:{size}:{digest.hexdigest()[:16]}:{len(frames)}"
    return TokenizerSystem(name, KMeansTokenizer(codebook), implementation=described, key=key)


def digest_of_id(recording: Recording) -> str:
    """The digest of its id, to sort by."""
    return hashlib.sha256(recording.id.encode()).hexdigest()
