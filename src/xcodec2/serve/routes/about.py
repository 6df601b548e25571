"""What the server says of itself: models, health, counters, and the page."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Match
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from xcodec2 import __version__
from xcodec2.serve.problems import ApiProblem
from xcodec2.serve.schemas import ModelFacts, Models, error_answers
from xcodec2.serve.service import SPEECH_ALIASES, Service, service_of

router = APIRouter()
PAGE = Path(__file__).parents[1] / "page"


class Page(StaticFiles):
    """The files of the page, wherever no route is."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file.

        Raises:
            ApiProblem: There is none (404), or a route that takes other methods (405).
        """
        if scope["path"].startswith("/v1/"):
            routes = scope["app"].routes
            if any(route.matches(scope)[0] is Match.PARTIAL for route in routes):
                raise ApiProblem(405, f"{scope['method']} is nothing that this route takes")
            raise ApiProblem(404, "there is no such route: see /openapi.json")
        return await super().get_response(path, scope)


@router.get("/v1/models", summary="List models", response_model=Models, responses=error_answers())
async def list_models(request: Request) -> Models:
    """The language model and the codec."""
    service = service_of(request)
    return Models(data=[facts_of_model(service, name) for name in service.names])


@router.get(
    "/v1/models/{model_id:path}",
    summary="One model",
    response_model=ModelFacts,
    responses=error_answers(404),
)
async def get_model(model_id: str, request: Request) -> ModelFacts:
    """One of them; the usual names of speech models mean the one here."""
    service = service_of(request)
    if model_id in SPEECH_ALIASES and service.speaker_name:
        return facts_of_model(service, model_id)
    if model_id not in service.names:
        raise ApiProblem(404, "there is no such model", code="model_not_found", param="model_id")
    return facts_of_model(service, model_id)


def facts_of_model(service: Service, name: str) -> ModelFacts:
    """A model as clients see it."""
    return ModelFacts(id=name, created=service.created, owned_by="open-xcodec2")


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
