"""Text to speech: an LM makes codes, the codec makes sound.

Long text is spoken sentence by sentence in one voice: that of the clip, or else that of the first
sentence. All codes are decoded together, the clip's before them, so that there are no joins to
hear; the clip's samples are dropped. Silence at the ends of the pieces is cut, and pauses are as
the punctuation says (`xcodec2.llasa.joining`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.deprecation import renamed_arguments
from xcodec2.errors import LlasaError
from xcodec2.identity import CodecIdentity
from xcodec2.llasa import reading
from xcodec2.llasa.backends.base import Backend, Sampling
from xcodec2.llasa.doubts import warn_unfinished, warn_unknown_text
from xcodec2.llasa.joining import join_pieces
from xcodec2.llasa.lm import load_for_speech, load_metadata, load_tokenizer
from xcodec2.llasa.prompts import CHUNK, Prompts, is_speakable
from xcodec2.llasa.search import Candidate, Scorer, Search, SearchResult, run_search
from xcodec2.llasa.verifiers import CtcVerifier, Verifier, score
from xcodec2.llasa.vocabulary import CLIP
from xcodec2.llasa.voices import VERIFIER_SAMPLE_RATE, Voice, encode_clip

if TYPE_CHECKING:
    import torch

    from xcodec2.model import XCodec2Model

STREAM_STEP = 10  # frames a piece: the first sound after 0.3 s of codes
SEARCH_TEMPERATURE = 0.2  # at least: candidates of a search have to differ
CHUNK_SEEDS_APART = 7_919  # a prime: the seeds of candidates of two pieces of text do not meet


@dataclass
class Spoken:
    """Speech, and how it came about.

    Attributes:
        samples: (N,) float32 at the codec's sample rate; of the codes, without the silence at
            either end, with pauses between the pieces.
        pieces: Of the text, each with the candidate that was chosen.
        searches: One a piece when there was a search.
    """

    samples: np.ndarray
    pieces: list[tuple[str, Candidate]]
    searches: list[SearchResult] = field(default_factory=list)

    @property
    def waveform(self) -> torch.Tensor:
        """The samples as a tensor, which share its memory."""
        import torch

        return torch.from_numpy(self.samples)

    @property
    def codes(self) -> np.ndarray:
        """(T,) int64, of all pieces."""
        return np.concatenate([item.codes for _, item in self.pieces])


class Speaker:
    """A language model with the codec of its codes.

    Args:
        backend: Where the language model runs.
        codec: What encodes voice clips and decodes the model's codes.

    Raises:
        CodesError: When the model's codes are not this codec's.
    """

    def __init__(self, backend: Backend, codec: XCodec2Model) -> None:
        own = codec.identity
        size = backend.prompts.vocabulary.codebook_size
        spoken = backend.metadata.codec or CodecIdentity(
            codebook_size=size, frame_rate=own.frame_rate
        )
        spoken.check(own, f"what {backend.name} speaks", "the codec")
        self.backend, self.codec = backend, codec
        self.hop = codec.sample_rate // codec.frame_rate  # samples a code

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn unless one says: at the model's own temperature if it has one."""
        own = self.backend.metadata.temperature
        return Sampling() if own is None else Sampling(own)

    @property
    def search_sampling(self) -> Sampling:
        """How the candidates of a search are drawn unless one says."""
        return replace(
            self.sampling, temperature=max(self.sampling.temperature, SEARCH_TEMPERATURE)
        )

    @classmethod
    def from_pretrained(
        cls,
        lm: str | Path | None = None,
        codec: str | Path | XCodec2Model | None = None,
        *,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> Speaker:
        """A language model in this process, with its codec.

        Args:
            lm: A folder or a Hub id; None is the small model in the package.
            codec: A codec, or what `XCodec2Model.from_pretrained` takes; None is the one that the
                language model says it speaks.
            device: Where both run.
            dtype: Of the language model; float32 when None.

        Raises:
            LlasaError: When the model was not made for speech, or does not say which codec it
                speaks and none is given, or the codec is another one.
        """
        from xcodec2.llasa.backends.local import InProcess

        backend = InProcess(load_for_speech(lm, device=device, dtype=dtype))
        return cls(backend, codec_for(backend, codec, device))

    @classmethod
    def connect(
        cls,
        url: str,
        tokenizer: str | Path,
        codec: str | Path | XCodec2Model | None = None,
        *,
        device: str = "cpu",
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
    ) -> Speaker:
        """A language model behind an OpenAI-compatible completions server, with a codec here.

        Args:
            url: The server's address, with or without /v1.
            tokenizer: Folder or Hub id of the model that it serves: its tokenizer is needed here.
            codec: As in `from_pretrained`.
            device: Where the codec runs.
            model: The model's name at the server; the first one listed there when None.
            api_key: Sent as a bearer token; the variable OPENAI_API_KEY when None.
            timeout: Seconds that one whole answer may take.

        Raises:
            LlasaError: When no such server answers, or the two do not belong together.
        """
        from xcodec2.llasa.backends.server import Server

        prompts = Prompts.of(load_tokenizer(tokenizer), str(tokenizer))
        metadata = load_metadata(tokenizer)
        backend = Server(url, prompts, metadata, model=model, api_key=api_key, timeout=timeout)
        return cls(backend, codec_for(backend, codec, device))

    def voice(
        self,
        clip: str | Path | np.ndarray | torch.Tensor,
        text: str = "",
        sample_rate: int | None = None,
    ) -> Voice:
        """A voice to speak in.

        Args:
            clip: 1 to 15 s of speech: a path, or an array with its `sample_rate` in Hz.
            text: What the clip says; a model on a phoneme track needs no transcript.
            sample_rate: Of an array.

        Raises:
            LlasaError: For a clip of another length, no text, or a model of one voice only.
            AudioError: For audio that cannot be read.
        """
        self.check_takes_voices()
        if not (self.backend.metadata.track or is_speakable(text)):
            raise LlasaError("a voice clip needs the text that it says")
        codes, waveform = encode_clip(self.codec, clip, sample_rate)
        return Voice(text.strip(), codes.codes.numpy().astype(np.int64), waveform)

    def check_takes_voices(self) -> None:
        """Refuse a voice where the model knows one only.

        Raises:
            LlasaError: It does.
        """
        if self.backend.metadata.one_voice:
            raise LlasaError(
                f"{self.backend.name} knows one voice only and cannot take another: "
                "leave the voice out"
            )

    @renamed_arguments(how="search", process="process_verifier")
    def speak(
        self,
        text: str,
        *,
        voice: Voice | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        search: Search | None = None,
        verifier: Verifier | None = None,
        process_verifier: Verifier | None = None,
        chunk: int = CHUNK,
    ) -> Spoken:
        """Text of any length → speech.

        Args:
            text: What to say; `xcodec2.llasa.text.Phonemes` for a model that reads phonemes.
            voice: To speak in; without one the model chooses.
            sampling: How tokens are drawn; by `sampling`, or `search_sampling`, when None.
            seed: The same seed gives the same speech.
            search: Make many candidates, of which the verifiers choose.
            verifier: Chooses among candidates; with None, the package's CTC model does, which reads
                the bundled codec's codes.
            process_verifier: Chooses among unfinished beams; the verifier when None.
            chunk: Longest piece of text that is spoken at once, in characters.

        Raises:
            LlasaError: For a text with nothing to speak, or one that the tokenizer cannot take.
        """
        if search is not None and reading.is_phonemes(text):
            raise LlasaError("verifiers compare speech with its text: give text, not phonemes")
        sampling = sampling or (self.search_sampling if search is not None else self.sampling)
        verifier = verifier or (CtcVerifier() if search is not None else None)
        pieces: list[tuple[str, Candidate]] = []
        searches: list[SearchResult] = []
        for index, (piece, prompt) in enumerate(self.prompts(text, voice, pieces, chunk)):
            own_seed = seed + index * CHUNK_SEEDS_APART
            if search is None or verifier is None:
                (made,) = self.backend.generate([prompt], [own_seed], sampling)
                pieces.append((piece, Candidate(made.codes, made.finished, own_seed)))
            else:
                result = run_search(
                    search,
                    self.backend,
                    prompt,
                    sampling,
                    own_seed,
                    self.scorer(verifier, piece, voice),
                    self.scorer(process_verifier, piece, voice) if process_verifier else None,
                    self.codec.frame_rate,
                )
                searches.append(result)
                pieces.append((piece, result.best))
            warn_unfinished(piece, pieces[-1][1].finished)
        if not any(len(item.codes) for _, item in pieces):
            raise LlasaError("the model said nothing: allow more tokens, or try another seed")
        spoken = Spoken(np.empty(0, np.float32), pieces, searches)
        samples = self.decode(spoken.codes, voice)
        ends = np.cumsum([len(item.codes) * self.hop for _, item in pieces])[:-1]
        parts = zip((piece for piece, _ in pieces), np.split(samples, ends), strict=True)
        spoken.samples = join_pieces(list(parts), self.codec.sample_rate)
        return spoken

    @renamed_arguments(heard="on_piece")
    def stream(
        self,
        text: str,
        *,
        voice: Voice | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        chunk: int = CHUNK,
        step: int = STREAM_STEP,
        on_piece: Callable[[str, np.ndarray], None] = lambda piece, codes: None,
    ) -> Iterator[torch.Tensor]:
        """The same codes as `speak` without a search, decoded while the LM is still at work.

        Args:
            text: What to say.
            voice: To speak in.
            sampling: How tokens are drawn.
            seed: The same seed gives the same speech.
            chunk: Longest piece of text that is spoken at once, in characters.
            step: Codes that are decoded at a time.
            on_piece: Is called with each piece of text and its codes (T,) when it is complete.

        Yields:
            (N,) float32 at the codec's sample rate.
        """
        sampling = sampling or self.sampling

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
                on_piece(piece, pieces[-1][1].codes)
                warn_unfinished(piece, finished)

        dropped = len(voice.codes) * self.hop if voice is not None else 0
        for waveform in self.codec.stream_decode(codes(), step=step):
            kept = waveform[dropped:]
            dropped = max(0, dropped - len(waveform))
            if len(kept):
                yield kept

    def prompts(
        self, text: str, voice: Voice | None, pieces: list[tuple[str, Candidate]], chunk: int
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Each piece of text with its prompt (L,).

        `pieces`, filled meanwhile, lends the first one's voice to the others, unless it ran on for
        more than half of the context.
        """
        metadata = self.backend.metadata
        parts = reading.spoken_pieces(text, metadata, chunk)
        warn_unknown_text(parts, metadata.texts)
        for piece in parts:
            if voice is None and pieces and not (metadata.one_voice or metadata.track):
                first, made = pieces[0]
                if len(made.codes) <= self.backend.context // 2:
                    voice = Voice(first, made.codes)
            asked = reading.as_prompted(piece, metadata)
            if voice is None:
                yield piece, self.backend.prompts.prompt(asked)
            elif metadata.track:
                clip = middle(voice.codes, CLIP)
                yield piece, self.backend.prompts.prompt_after_clip(asked, clip)
            else:
                said = reading.as_prompted(voice.text, metadata)
                yield piece, self.backend.prompts.prompt(asked, said, voice.codes)

    def scorer(self, verifier: Verifier, text: str, voice: Voice | None) -> Scorer:
        """The verifier as a function of codes (T,)."""
        from soxr import resample

        if isinstance(verifier, CtcVerifier):
            self.codec.identity.check(verifier.transcriber.codec, "the codec", "the verifier")
            return lambda codes: verifier.score_codes(text, codes)
        reference = voice.waveform if voice is not None else None

        def scored(codes: np.ndarray) -> float:
            if not len(codes):
                return -np.inf
            waveform = self.decode(codes, voice)
            if self.codec.sample_rate != VERIFIER_SAMPLE_RATE:
                waveform = resample(waveform, self.codec.sample_rate, VERIFIER_SAMPLE_RATE)
            return score(verifier, text, waveform, reference)

        return scored

    def decode(self, codes: np.ndarray, voice: Voice | None) -> np.ndarray:
        """(T,) → (T·hop,) float32, with the voice's codes before them for the decoder to see."""
        before = voice.codes if voice is not None else np.zeros(0, np.int64)
        waveform = np.asarray(self.codec.decode(np.concatenate([before, codes])))
        return waveform[len(before) * self.hop :]


def middle(codes: np.ndarray, count: int) -> np.ndarray:
    """At most so many codes from the middle of (T,): clips begin and end with silence."""
    start = max(0, len(codes) - count) // 2
    return codes[start : start + count]


def codec_for(
    backend: Backend, codec: str | Path | XCodec2Model | None, device: str
) -> XCodec2Model:
    """The codec that is given, or the one that the language model says it speaks.

    Raises:
        LlasaError: It does not say which.
    """
    from xcodec2.model import XCodec2Model

    if isinstance(codec, XCodec2Model):
        return codec
    return XCodec2Model.from_pretrained(name_of_codec(backend, codec), device=device).eval()


def name_of_codec(backend: Backend, codec: str | Path | None) -> str | Path:
    """The name that is given, or that of the codec which the language model says it speaks.

    Raises:
        LlasaError: It does not say which.
    """
    name = codec or (backend.metadata.codec.model if backend.metadata.codec else None)
    if not name:
        raise LlasaError(
            f"{backend.name} does not say which codec its tokens are of: "
            "give it as --model (in Python: codec=)"
        )
    return name
