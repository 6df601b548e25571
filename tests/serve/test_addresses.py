"""Addresses: what each takes, and what is said where there is nothing."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/nowhere", 404, None),
        ("GET", "/nowhere", 404, None),
        ("DELETE", "/v1/nowhere", 404, None),
        ("GET", "/..%2f..%2fetc/passwd", 404, None),
        ("GET", "/%00", 404, None),
        ("GET", "/v1/audio/speech", 405, "POST"),
        ("DELETE", "/v1/audio/voices", 405, "GET, POST"),
        ("POST", "/health", 405, "GET, HEAD"),
        ("POST", "/", 405, "GET, HEAD"),
        ("PUT", "/app.js", 405, "GET, HEAD"),
    ],
)
def test_nothing_there_and_other_methods(client, method, path, status, allow):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert answer.json()["error"]["code"] == {404: "not_found", 405: "method_not_allowed"}[status]


def test_health_for_those_that_ask_for_its_head(client):
    answer = client.head("/health")
    assert answer.status_code == 200
    assert answer.content == b""


def test_models_by_their_usual_names(client):
    for name in ("tts-1", "gpt-4o-mini-tts", "whisper-1", "babble"):
        assert client.get(f"/v1/models/{name}").json()["id"] == name
    assert client.get("/v1/models/gpt-5").status_code == 404
    answer = client.get("/v1/audio/models").json()
    assert [model["id"] for model in answer["models"]][:2] == ["babble", "tts-1"]
    assert answer["data"] == answer["models"]
