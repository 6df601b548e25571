"""Hub ids, through the Hub's real client and a server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save_file
from tiny import speech

from xcodec2 import XCodec2Model
from xcodec2.errors import CheckpointError


@pytest.fixture
def hub(published, tmp_path, monkeypatch) -> Iterator[list[str]]:
    """A Hub with one repository, `someone/codec`; yields the paths that were asked for."""
    folder = tmp_path / "repository"
    folder.mkdir()
    save_file(published, folder / "model.safetensors")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            asked.append(self.path)
            repository, _, name = self.path.partition("/resolve/main/")
            file = folder / name
            if repository != "/someone/codec":
                return self.refuse("RepoNotFound")
            if not name or not file.is_file():
                return self.refuse("EntryNotFound")
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{len(content)}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return self.wfile.write(content) if body else None

        def refuse(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    from huggingface_hub import constants

    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield asked
    server.shutdown()
    server.server_close()


def test_a_hub_id_downloads_only_what_a_model_needs(hub, published, tmp_path):
    expected = XCodec2Model.from_pretrained(tmp_path / "repository").encode(speech(), 16_000).codes
    model = XCodec2Model.from_pretrained("someone/codec")
    assert model.model_id == "someone/codec"
    assert torch.equal(model.encode(speech(), 16_000).codes, expected)
    assert not any("pytorch_model.bin" in path for path in hub)


def test_a_repository_that_is_not_there_raises(hub):
    with pytest.raises(CheckpointError, match="no such model on the Hub"):
        XCodec2Model.from_pretrained("someone/else")


def test_a_hub_that_cannot_be_reached_raises(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's retries
    nowhere = "http://127.0.0.1:9"  # the discard port: nothing listens
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        nowhere + "/{repo_id}/resolve/{revision}/{filename}",
    )
    with pytest.raises(CheckpointError, match=r"cannot be reached|download failed"):
        XCodec2Model.from_pretrained("someone/codec")
