"""Text to speech: an LM makes codes, the codec makes sound.

Long text is spoken sentence by sentence in one voice: that of the clip, or else that of the first
sentence. All codes are decoded together, the clip's before them, so that there are no joins to
hear; the clip's samples are dropped.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xcodec2 import XCodec2Model
from xcodec2.audio.io import load_audio
from xcodec2.llasa.backends.local import Backend, Sampling
from xcodec2.llasa.prompts import CHUNK, is_speakable, split_text
from xcodec2.llasa.search import Candidate, Found, Scorer, Search, search
from xcodec2.llasa.training.rows import Codec
from xcodec2.llasa.verifiers import Verifier, score
from xcodec2.llasa.vocabulary import LlasaError

VOICE_SECONDS = (1.0, 15.0)  # of a voice clip
JUDGE_RATE = 16_000  # Hz that verifiers hear
STREAM_STEP = 10  # frames a piece: the first sound after 0.3 s of codes
CHUNK_SEEDS_APART = 7_919  # a prime: the seeds of candidates of two pieces of text do not meet


@dataclass(frozen=True)
class Voice:
    """A clip to speak like. codes: (T,) int64. waveform: (N,) at JUDGE_RATE, what verifiers compare
    with; None for a voice that the LM made itself."""

    text: str
    codes: np.ndarray
    waveform: np.ndarray | None = None


@dataclass
class Spoken:
    """waveform: (N,) float32 at the codec's rate.

    pieces: of the text, with their codes. found: what searches saw.
    """

    waveform: torch.Tensor
    pieces: list[tuple[str, Candidate]]
    found: list[Found] = field(default_factory=list)

    @property
    def codes(self) -> np.ndarray:
        return np.concatenate([item.codes for _, item in self.pieces])


class Speaker:
    """A back end with the codec of its codes. LlasaError when the two do not belong together."""

    def __init__(self, backend: Backend, codec: XCodec2Model) -> None:
        own = Codec(codec.model_id, codec.weights_hash, codec.codebook_size, codec.frame_rate)
        named = backend.about.codec or Codec(codebook_size=backend.prompts.vocabulary.codebook_size)
        named.check(own, f"the language model {backend.name}", "the codec")
        self.backend, self.codec = backend, codec

    def voice(
        self,
        clip: str | Path | np.ndarray | torch.Tensor,
        text: str,
        sample_rate: int | None = None,
    ) -> Voice:
        """A clip of 1 to 15 s and what it says."""
        if self.backend.about.one_voice:
            raise LlasaError(
                f"{self.backend.name} knows one voice only and cannot take another: leave the clip out"
            )
        if not is_speakable(text):
            raise LlasaError("a voice clip needs the text that it says")
        audio = load_audio(clip, sample_rate, target_rate=JUDGE_RATE)
        seconds, (least, most) = audio.num_samples / audio.sample_rate, VOICE_SECONDS
        if not least <= seconds <= most:
            raise LlasaError(
                f"the voice clip has {seconds:.1f} s; give one of {least:g} to {most:g} s"
            )
        codes = self.codec.encode(audio.waveform, JUDGE_RATE).codes
        return Voice(text.strip(), codes.numpy().astype(np.int64), audio.waveform.numpy())

    def speak(
        self,
        text: str,
        *,
        voice: Voice | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        how: Search | None = None,
        verifier: Verifier | None = None,
        process: Verifier | None = None,
        chunk: int = CHUNK,
    ) -> Spoken:
        """Text of any length → speech.

        With `how`, candidates are searched and `verifier` (and `process`) choose.
        """
        sampling = sampling or Sampling()
        pieces: list[tuple[str, Candidate]] = []
        found: list[Found] = []
        for index, (piece, prompt) in enumerate(self.prompts(text, voice, pieces, chunk)):
            own_seed = seed + index * CHUNK_SEEDS_APART
            if how is None:
                (made,) = self.backend.generate([prompt], [own_seed], sampling)
                pieces.append((piece, Candidate(made.codes, made.finished, own_seed)))
            else:
                if verifier is None:
                    raise LlasaError("a search needs a verifier")
                scorer = self.scorer(verifier, piece, voice)
                steps = self.scorer(process, piece, voice) if process else None
                result = search(
                    how,
                    self.backend,
                    prompt,
                    sampling,
                    own_seed,
                    scorer,
                    steps,
                    self.codec.frame_rate,
                )
                found.append(result)
                pieces.append((piece, result.best))
            warn_unfinished(piece, pieces[-1][1].finished)
        spoken = Spoken(torch.empty(0), pieces, found)
        spoken.waveform = self.decode(spoken.codes, voice)
        return spoken

    def stream(
        self,
        text: str,
        *,
        voice: Voice | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        chunk: int = CHUNK,
        step: int = STREAM_STEP,
        heard: Callable[[str, np.ndarray], None] = lambda piece, codes: None,
    ) -> Iterator[torch.Tensor]:
        """The same speech as `speak` without a search, as chunks of waveform while the LM is still
        at work.

        `heard` is told each piece of text with its codes when it is complete.
        """
        sampling = sampling or Sampling()

        def codes() -> Iterator[Any]:
            if voice is not None:
                yield voice.codes
            pieces: list[tuple[str, Candidate]] = []
            for index, (piece, prompt) in enumerate(self.prompts(text, voice, pieces, chunk)):
                own_seed, made = seed + index * CHUNK_SEEDS_APART, []
                stream = self.backend.stream(prompt, own_seed, sampling)
                while True:
                    try:
                        code = next(stream)
                    except StopIteration as stop:
                        finished = bool(stop.value)
                        break
                    made.append(code)
                    yield code
                pieces.append((piece, Candidate(np.array(made, np.int64), finished, own_seed)))
                heard(piece, pieces[-1][1].codes)
                warn_unfinished(piece, finished)

        dropped = len(voice.codes) * self.codec.config.output_hop if voice is not None else 0
        for waveform in self.codec.stream_decode(codes(), step=step):
            kept = waveform[dropped:]
            dropped = max(0, dropped - len(waveform))
            if len(kept):
                yield kept

    def prompts(
        self, text: str, voice: Voice | None, pieces: list[tuple[str, Candidate]], chunk: int
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Each piece of text with its prompt; `pieces`, filled meanwhile, lends the first one's
        voice to the others.
        """
        for piece in split_text(text, chunk):
            if voice is None and pieces and not self.backend.about.one_voice:
                first, made = pieces[0]
                voice = Voice(first, made.codes)
            if voice is None:
                yield piece, self.backend.prompts.prompt(piece)
            else:
                yield piece, self.backend.prompts.prompt(piece, voice.text, voice.codes)

    def scorer(self, verifier: Verifier, text: str, voice: Voice | None) -> Scorer:
        """The verifier as a function of codes."""
        from soxr import resample

        reference = voice.waveform if voice is not None else None

        def scored(codes: np.ndarray) -> float:
            if not len(codes):
                return -np.inf
            waveform = self.decode(codes, voice).numpy()
            if self.codec.sample_rate != JUDGE_RATE:
                waveform = resample(waveform, self.codec.sample_rate, JUDGE_RATE)
            return score(verifier, text, waveform, reference)

        return scored

    def decode(self, codes: np.ndarray, voice: Voice | None) -> torch.Tensor:
        """(T,) → (T·output_hop,), with the voice's codes before them for the decoder to see."""
        before = voice.codes if voice is not None else np.zeros(0, np.int64)
        waveform = self.codec.decode(torch.from_numpy(np.concatenate([before, codes])))
        return waveform[len(before) * self.codec.config.output_hop :]


def warn_unfinished(piece: str, finished: bool) -> None:
    if not finished:
        warnings.warn(
            f"the model did not end by itself on {piece!r}: its speech may repeat or be cut; try another seed",
            stacklevel=3,
        )
