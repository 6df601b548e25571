"""What all routes share: the models, the threads that run them, voices, limits and counters."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from starlette.requests import HTTPConnection

from xcodec2 import XCodec2Model, evaluators
from xcodec2.errors import XCodec2Error
from xcodec2.llasa.sampling import Sampling
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.verifiers import CtcVerifier
from xcodec2.llasa.voices import StoredVoice, VoiceStore
from xcodec2.serve.engine import Engine
from xcodec2.serve.limits import Limits
from xcodec2.serve.metrics import Metrics
from xcodec2.serve.problems import ApiProblem
from xcodec2.serve.speech import Script
from xcodec2.serve.uploads import Readers
from xcodec2.serve.whole import WholeClips

LOG = logging.getLogger("xcodec2.serve")
WARM_UP = Sampling(max_tokens=12)
SPEECH_ALIASES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
TRANSCRIPTION_ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")


@dataclass
class Loaded:
    """The models of a server.

    Attributes:
        codec: What encodes and decodes.
        speaker: What speaks; None for a codec alone.
        ctc: What reads codes, if anything does.
        presets: Voices that the speaker brings, which nobody deletes.
    """

    codec: XCodec2Model
    speaker: Speaker | None = None
    ctc: CtcVerifier | None = None
    presets: VoiceStore | None = None


class Service:
    """One server's state; `app.state.service`.

    Args:
        load: Gives the models; it is called in a thread while the server already answers that it
            is loading.
        voices: The folder of voices.
        limits: Of requests.
        recognizer: Of `xcodec2.evaluators`, for transcriptions where no model reads codes.
        warm: Speak once before the server says that it is ready.
    """

    engine: Engine
    whole: WholeClips
    searches: WholeClips  # take minutes, for which nothing else should wait
    readers: Readers
    models: Loaded

    def __init__(
        self,
        load: Callable[[], Loaded],
        *,
        voices: Path | None = None,
        limits: Limits | None = None,
        recognizer: str = "moonshine",
        warm: bool = True,
    ) -> None:
        self.load, self.warm = load, warm
        self.voices, self.limits = VoiceStore(voices), limits or Limits()
        self.recognizer = recognizer
        self.metrics = Metrics()
        self.created = int(time.time())
        self.ready = self.closing = False
        self.problem: str | None = None
        self.loading = threading.Lock()
        self.keeping = threading.Lock()  # held to add a voice
        self.asking = asyncio.Lock()  # held to ask for the recognizer
        self.found: evaluators.ASR | XCodec2Error | None = None  # the recognizer, or why not
        self.failed: Callable[[], None] = lambda: None  # is called when nothing can be loaded
        self.starting: threading.Thread | None = None

    def presets(self) -> dict[str, StoredVoice]:
        """The voices that the speaker brings, by id, but for those that added ones stand before."""
        found = (self.models.presets if self.ready else None) or ()
        return {voice.id: voice for voice in found if voice.id not in self.voices}

    def begin(self) -> None:
        """Load the models, in a thread."""
        self.starting = threading.Thread(target=self.start, name="loading", daemon=True)
        self.starting.start()

    def start(self) -> None:
        """Load the models, start the threads and processes, and speak once."""
        try:
            self.models = self.load()
            codec, speaker = self.models.codec, self.models.speaker
            self.engine = Engine(codec, speaker, self.limits, self.metrics.tokens.inc)
            self.whole = WholeClips(codec, self.limits)
            self.searches = WholeClips(codec, self.limits)
            self.readers = Readers(
                self.limits.readers,
                codec.config.input_rate,
                self.limits.max_seconds,
                self.metrics.reader_deaths.inc,
            )
            self.count()
            if self.warm:
                self.readers.start()
                asyncio.run(self.warm_up())
            self.ready = True
            LOG.info("ready")
        except Exception as problem:
            known = isinstance(problem, XCodec2Error)
            self.problem = str(problem) if known else type(problem).__name__
            self.failed()
            LOG.error("cannot start: %s", problem, exc_info=None if known else problem)

    async def warm_up(self) -> None:
        """Encode a second, decode it, and say something."""
        codec = self.models.codec
        if not codec.decoder_only:
            tone = torch.sin(torch.arange(codec.config.input_rate, device="cpu") * 0.05) * 0.1
            codes = await self.whole.encode(tone.float())
            await self.whole.run_there(lambda: codec.decode(codes))
        speaker = self.models.speaker
        if speaker is not None:
            known = speaker.backend.metadata.texts
            script = Script(speaker, known[0] if known else "Hello.", sampling=WARM_UP)
            job = self.engine.speak(script)
            while await job.outlet.next() is not None:
                pass

    def count(self) -> None:
        """What can be looked up at any time."""
        from xcodec2.serve.engine import FedJob, SpeechJob

        engine, whole = self.engine, self.whole
        watch = self.metrics.watch
        watch("speech_streams", "Texts that are being spoken.", lambda: len(engine.of(SpeechJob)))
        watch(
            "generations",
            "Sequences that the language model is at.",
            lambda: sum(getattr(job, "growth", None) is not None for job in engine.of(SpeechJob)),
        )
        watch("codec_streams", "Streams of clients.", lambda: len(engine.of(FedJob)))
        watch("codec_waiting", "Clips that wait for the codec.", lambda: len(whole.waiting))

    def close(self) -> None:
        """End all threads and processes."""
        self.closing = True
        for part in ("engine", "whole", "searches", "readers"):
            if worker := getattr(self, part, None):
                worker.close() if part == "readers" else worker.stop()

    def asr(self) -> evaluators.ASR:
        """The recognizer, which is loaded when it is first asked for; for threads.

        Raises:
            XCodec2Error: It is not installed.
        """
        with self.loading:
            if self.found is None:
                try:
                    self.found = evaluators.asr(self.recognizer)
                except XCodec2Error as problem:
                    self.found = problem  # looking for it again would take as long
            if isinstance(self.found, XCodec2Error):
                raise self.found
            return self.found

    # ---- what models are called ------------------------------------------------------------------

    @property
    def codec_name(self) -> str:
        """Of the codec."""
        return self.models.codec.model_id or "codec"

    @property
    def speaker_name(self) -> str | None:
        """Of the language model; never where it lies."""
        speaker = self.models.speaker
        return public_name(speaker.backend.name, "llasa") if speaker else None

    @property
    def names(self) -> list[str]:
        """Of all models."""
        names = [self.speaker_name, self.codec_name]
        return list(dict.fromkeys(name for name in names if name))

    def check_model(self, name: str | None, aliases: tuple[str, ...]) -> None:
        """Refuse a model that is not here.

        Raises:
            ApiProblem: It is not (404).
        """
        if name in (None, "", *aliases, *self.names):
            return
        raise ApiProblem(
            404,
            f"there is no such model here: {', '.join(self.names)}",
            code="model_not_found",
            param="model",
        )

    def speaking(self) -> Speaker:
        """The language model with its codec.

        Raises:
            ApiProblem: This server has none.
        """
        if self.models.speaker is None:
            raise ApiProblem(
                400, "this server has a codec alone and cannot speak", code="no_language_model"
            )
        return self.models.speaker

    def encoding(self) -> XCodec2Model:
        """The codec, which encodes.

        Raises:
            ApiProblem: It only decodes.
        """
        if self.models.codec.decoder_only:
            raise ApiProblem(400, "this server's codec only decodes", code="no_encoder")
        return self.models.codec


def service_of(connection: HTTPConnection) -> Service:
    """The server's state, when it is ready for requests.

    Raises:
        ApiProblem: It is still loading, cannot, or is about to end (503).
    """
    service: Service = connection.app.state.service
    if service.problem is not None:
        raise ApiProblem(503, "the server could not load its models", code="not_loaded")
    if service.closing:
        raise ApiProblem(503, "the server is about to end", code="stopping")
    if not service.ready:
        raise ApiProblem(
            503, "the server is loading its models", code="loading", headers={"Retry-After": "2"}
        )
    return service


def public_name(name: str, fallback: str) -> str:
    """A model's name without the place where it lies: a Hub id, or a folder's own name."""
    if re.fullmatch(r"https?://.*", name):
        return fallback
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists():
        return name
    return Path(name).name or fallback
