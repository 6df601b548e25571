"""Errors as clients see them: one shape, whatever went wrong, and nothing of this machine in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from xcodec2.errors import XCodec2Error

LOG = logging.getLogger("xcodec2.serve")
RETRY_SECONDS = 2
Schema = TypeVar("Schema", bound=BaseModel)
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
CODES = {
    400: "bad_request",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unreadable_audio",
    429: "queue_full",
    503: "unavailable",
}


class ApiProblem(HTTPException):
    """A request that is refused.

    Args:
        status: Of HTTP.
        message: For people: what was wrong, and what to do.
        code: For programs; the usual one of the status when None.
        param: The field that was wrong.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.code, self.param = code, param


class ClientGone(Exception):
    """Whoever asked has hung up."""


def queue_full(what: str) -> ApiProblem:
    """The error of a queue that takes no more."""
    return ApiProblem(
        429,
        f"too many requests wait for {what}: try again in a moment",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def refused(
    problem: XCodec2Error, param: str | None = None, *, status: int = 400, code: str | None = None
) -> ApiProblem:
    """Something that a client gave, refused by the library."""
    return ApiProblem(status, " ".join(str(problem).split()), param=param, code=code)


def error_body(status: int, message: str, code: str | None, param: str | None) -> dict[str, Any]:
    """The one shape of an error."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = code or CODES.get(status, "server_error" if status >= 500 else "bad_request")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def body_of(problem: Exception) -> dict[str, Any]:
    """An error that comes in the midst of a stream."""
    if isinstance(problem, HTTPException):
        own = problem if isinstance(problem, ApiProblem) else None
        return error_body(
            problem.status_code,
            str(problem.detail),
            own.code if own else None,
            own.param if own else None,
        )
    if isinstance(problem, XCodec2Error):
        return error_body(500, " ".join(str(problem).split()), "generation_failed", None)
    LOG.error("unexpected: %s", problem, exc_info=problem)
    return error_body(500, "internal error", None, None)


def answer(problem: HTTPException) -> JSONResponse:
    """An error as a response."""
    return JSONResponse(body_of(problem), problem.status_code, headers=problem.headers)


def install_handlers(app: FastAPI) -> None:
    """Give an app the one shape for all its errors."""

    @app.exception_handler(HTTPException)
    async def refused_request(request: Request, problem: HTTPException) -> Response:
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, problem: RequestValidationError) -> Response:
        return answer(invalid(problem))

    @app.exception_handler(ClientGone)
    @app.exception_handler(ClientDisconnect)  # in the midst of its body
    async def gone(request: Request, problem: ClientGone) -> Response:
        return Response(status_code=499)

    @app.exception_handler(XCodec2Error)
    async def unusable(request: Request, problem: XCodec2Error) -> Response:
        return answer(refused(problem))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, problem: Exception) -> Response:
        return JSONResponse(error_body(500, "internal error", None, None), 500)


def invalid(problem: RequestValidationError) -> ApiProblem:
    """What a schema found."""
    return first_finding(problem.errors())


def parsed_body(schema: type[Schema], content: bytes) -> Schema:
    """What a body of JSON says, whatever its Content-Type.

    Raises:
        ApiProblem: It is none, or does not fit.
    """
    try:
        return schema.model_validate_json(content)
    except ValidationError as problem:
        raise first_finding(problem.errors()) from problem


def checked_fields(schema: type[Schema], fields: Mapping[str, str]) -> Schema:
    """What the fields of a form say.

    Raises:
        ApiProblem: One of them does not fit.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as problem:
        raise first_finding(problem.errors()) from problem


def first_finding(findings: Sequence[Any]) -> ApiProblem:
    """Pydantic's findings, the first of them: the field and what is wrong with it."""
    first = findings[0]
    place = [str(part) for part in first.get("loc", ()) if not str(part).startswith("function-")]
    if first.get("type") == "json_invalid":
        return ApiProblem(400, "the body is not valid JSON", code="invalid_json")
    if place and place[0] in ("body", "query", "path", "header"):
        place = place[1:]
    param = place[0] if place else None
    message = str(first.get("msg", "invalid")).removeprefix("Value error, ")
    return ApiProblem(400, f"{param}: {message}" if param else message, param=param)
