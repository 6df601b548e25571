"""What the server says of itself: models, health, counters, and the page."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from xcodec2 import __version__
from xcodec2.serve.problems import ApiProblem
from xcodec2.serve.schemas import ModelFacts, Models, SpeechModels, error_answers
from xcodec2.serve.service import (
    SPEECH_ALIASES,
    TRANSCRIPTION_ALIASES,
    Service,
    service_of,
)

router = APIRouter()
PAGE = Path(__file__).parents[1] / "page"
FILE_METHODS = ["GET", "HEAD"]
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class Page(StaticFiles):
    """The files of the page, wherever no route is."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file.

        Raises:
            ApiProblem: There is none (404), or what is there takes other methods (405).
        """
        allowed = methods_at(scope)
        if not allowed and self.holds(path):
            if scope["method"] in FILE_METHODS:
                return await super().get_response(path, scope)
            allowed = FILE_METHODS
        if allowed:
            raise ApiProblem(
                405,
                f"{scope['method']} is nothing that this address takes: {', '.join(allowed)}",
                headers={"Allow": ", ".join(allowed)},
            )
        raise ApiProblem(404, "there is nothing at this address: see /openapi.json")

    def holds(self, path: str) -> bool:
        """Whether there is a file, or the page itself."""
        with contextlib.suppress(ValueError, OSError):  # no name that a file can have
            return path == "." or self.lookup_path(path)[1] is not None
        return False


def methods_at(scope: Scope) -> list[str]:
    """The methods of the routes at an address, none where there is no route."""
    routes = [route for route in scope["app"].routes if not isinstance(route, Mount)]
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]


@router.get("/v1/models", summary="List models", response_model=Models, responses=error_answers())
async def list_models(request: Request) -> Models:
    """The language model and the codec."""
    service = service_of(request)
    return Models(data=[facts_of_model(service, name) for name in service.names])


@router.get(
    "/v1/audio/models",
    summary="List models that speak",
    response_model=SpeechModels,
    responses=error_answers(),
)
async def list_speech_models(request: Request) -> SpeechModels:
    """What Open WebUI asks for before it offers models to choose from."""
    service = service_of(request)
    names = [service.speaker_name, *SPEECH_ALIASES] if service.speaker_name else []
    data = [facts_of_model(service, name) for name in names if name]
    return SpeechModels(data=data, models=data)


@router.get(
    "/v1/models/{model_id:path}",
    summary="One model",
    response_model=ModelFacts,
    responses=error_answers(404),
)
async def get_model(model_id: str, request: Request) -> ModelFacts:
    """One of them; the usual names of speech models mean what is here."""
    service = service_of(request)
    usual = (*(SPEECH_ALIASES if service.speaker_name else ()), *TRANSCRIPTION_ALIASES)
    if model_id not in (*service.names, *usual):
        raise ApiProblem(404, "there is no such model", code="model_not_found", param="model_id")
    return facts_of_model(service, model_id)


def facts_of_model(service: Service, name: str) -> ModelFacts:
    """A model as clients see it."""
    return ModelFacts(id=name, created=service.created, owned_by="open-xcodec2")


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Whether it can serve", responses={503: {}})
async def health(request: Request) -> JSONResponse:
    """200 when the server has spoken once; 503 while it loads, and when it is about to end."""
    service: Service = request.app.state.service
    if service.ready and not service.closing:
        names = {"models": service.names, "version": __version__}
        return JSONResponse({"status": "ok", **names})
    headers = {} if service.problem else {"Retry-After": "2"}
    return JSONResponse({"status": status_of(service)}, 503, headers)


@router.get("/page/status", include_in_schema=False)
async def page_status(request: Request) -> JSONResponse:
    """The same for the page, always as 200: a browser's console calls a 503 an error."""
    return JSONResponse({"status": status_of(request.app.state.service)})


def status_of(service: Service) -> str:
    """In a word."""
    if service.problem is not None:
        return "failed"
    if service.closing:
        return "stopping"
    return "ok" if service.ready else "loading"


@router.get("/metrics", summary="Counters, for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """All counters."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
