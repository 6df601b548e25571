"""The app: routes, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from xcodec2.extras import require

require(
    *("fastapi", "prometheus_client", "python_multipart", "av"), extra="serve", purpose="the server"
)

from fastapi import FastAPI  # noqa: E402
from fastapi.middleware.cors import CORSMiddleware  # noqa: E402

from xcodec2 import XCodec2Model, __version__  # noqa: E402
from xcodec2.llasa import Speaker  # noqa: E402
from xcodec2.llasa.verifiers import CtcVerifier  # noqa: E402
from xcodec2.llasa.voices import preset_store  # noqa: E402
from xcodec2.serve import problems  # noqa: E402
from xcodec2.serve.guard import Guard, Logged  # noqa: E402
from xcodec2.serve.limits import Limits  # noqa: E402
from xcodec2.serve.routes import (  # noqa: E402
    about,
    codes,
    decode,
    realtime,
    speech,
    transcriptions,
    voices,
)
from xcodec2.serve.service import Loaded, Service  # noqa: E402

EXPOSED = ("X-Sample-Rate", "X-Channels", "X-Voice", "X-Voice-Note", "X-Ignored", "X-Request-ID")


def create_app(
    speaker: Speaker | None = None,
    codec: XCodec2Model | None = None,
    *,
    load: Callable[[], Loaded] | None = None,
    ctc: str | Path | None = None,
    recognizer: str = "moonshine",
    voices_folder: str | Path | None = None,
    keys: Sequence[str] = (),
    limits: Limits | None = None,
    cors: Sequence[str] = (),
    hosts: Sequence[str] = (),
    log_text: bool = False,
    warm: bool = True,
) -> FastAPI:
    """An ASGI app that speaks, encodes and decodes.

    Args:
        speaker: What speaks; with neither a speaker nor a codec, the bundled models.
        codec: What encodes and decodes; the speaker's when None. A codec without a speaker is
            served alone.
        load: Gives the models instead, in a thread, while the app already answers that it is
            loading.
        ctc: A model that `xcodec2 llasa ctc` has trained, for transcriptions and searches.
        recognizer: Of `xcodec2.evaluators`, for transcriptions without one.
        voices_folder: Of voices; that of `xcodec2 voices` when None.
        keys: One of which each request has to bring; none are needed without.
        limits: Of requests.
        cors: Origins whose pages may call; "*" is all.
        hosts: Names by which the server may be called; any when empty.
        log_text: Write texts to the log.
        warm: Speak once before /health says that all is well.

    Returns:
        The app. Its models start with its lifespan, and end with it.

    Raises:
        MissingExtraError: FastAPI or another library of the extra is not installed.
    """

    def loaded() -> Loaded:
        if load is not None:
            return load()
        reader = CtcVerifier(str(ctc)) if ctc is not None else None
        voice = Speaker.from_pretrained() if speaker is None and codec is None else speaker
        model = codec or (voice.codec if voice is not None else None)
        assert model is not None
        if voice is not None and codec is not None:
            voice.codec.identity.check(codec.identity, "what the speaker speaks", "the codec")
        own = preset_store(None) if speaker is None and voice is not None else None
        return Loaded(model, voice, reader, own)

    folder = Path(voices_folder) if voices_folder is not None else None
    service = Service(loaded, voices=folder, limits=limits, recognizer=recognizer, warm=warm)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.begin()
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="open-xcodec2",
        version=__version__,
        summary="Speech, and the codes of speech.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    problems.install_handlers(app)
    for topic in (speech, voices, transcriptions, codes, decode, realtime, about):
        app.include_router(topic.router)
    app.mount("/", about.Page(directory=about.PAGE, html=True, follow_symlink=True), name="page")
    # The last one added stands outermost.
    app.add_middleware(Guard, limits=service.limits, keys=keys, origins=cors, hosts=hosts)
    if cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(Logged, metrics=service.metrics, text=log_text)
    return app
