"""A Hugging Face Hub on loopback, for its real client: repositories in folders, ranges, uploads,
and connections that break.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0" * 40


class FakeHub:
    """`root` holds OWNER/MODEL@REVISION folders, those of `main` without @main."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.sent = 0  # bytes of files
        self.break_after: int | None = None  # bytes of the next file, once
        self.withheld: str | None = None  # the file of which no byte arrives, after its headers
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_POST(self) -> None:
                hub.take(self)

            def do_PUT(self) -> None:
                hub.store(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def folder(self, repo: str, revision: str) -> Path:
        return self.root / (repo if revision in ("main", COMMIT) else f"{repo}@{revision}")

    # ---- downloads -------------------------------------------------------------------------------

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        span = request.headers.get("Range")
        self.asked.append((request.command, request.path, span))
        repo, resolved, rest = request.path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if not resolved or not (self.root / repo).is_dir():
            return refuse(request, "RepoNotFound")
        if not self.folder(repo, revision).is_dir():
            return refuse(request, "RevisionNotFound")
        file = self.folder(repo, revision) / name
        if not file.is_file():
            return refuse(request, "EntryNotFound", commit_of(revision))
        content = file.read_bytes()
        size, start = len(content), 0
        if span:
            first, _, last = span.removeprefix("bytes=").partition("-")
            start = int(first)
            content = content[start : int(last) + 1 if last else None]
        request.send_response(206 if span else 200)
        request.send_header("ETag", f'"{hashlib.sha256(file.read_bytes()).hexdigest()}"')
        request.send_header("X-Repo-Commit", commit_of(revision))
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Accept-Ranges", "bytes")
        if span:
            request.send_header("Content-Range", f"bytes {start}-{start + len(content) - 1}/{size}")
        request.end_headers()
        if not body:
            return None
        if self.break_after is not None and len(content) > self.break_after:
            content, self.break_after = content[: self.break_after], None
            request.close_connection = True
        if name == self.withheld:
            request.close_connection = True
            return None
        self.sent += len(content)
        request.wfile.write(content)
        request.wfile.flush()
        return None

    # ---- uploads ---------------------------------------------------------------------------------

    def take(self, request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.asked.append(("POST", request.path, None))
        path = request.path.partition("?")[0]
        if path == "/api/validate-yaml":
            return reply(request, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            asked = json.loads(content)
            repo = f"{asked['organization']}/{asked['name']}"
            (self.root / repo).mkdir(parents=True, exist_ok=True)
            return reply(request, {"url": f"{self.endpoint}/{repo}", "id": repo})
        if "/preupload/" in path:
            files = json.loads(content)["files"]
            kinds = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in files
            ]
            return reply(request, {"files": kinds})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {
                    "oid": item["oid"],
                    "size": item["size"],
                    "actions": {"upload": {"href": f"{self.endpoint}/objects/{item['oid']}"}},
                }
                for item in json.loads(content)["objects"]
            ]
            return reply(
                request,
                {"transfer": "basic", "objects": objects},
                kind="application/vnd.git-lfs+json",
            )
        if "/commit/" in path:
            repo = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in content.splitlines():
                self.commit(self.root / repo, json.loads(line))
            return reply(
                request,
                {"commitUrl": f"{self.endpoint}/{repo}/commit/{COMMIT}", "commitOid": COMMIT},
            )
        return refuse(request, "RepoNotFound")

    def store(self, request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers["Content-Length"]))
        oid = hashlib.sha256(content).hexdigest()
        assert request.path == f"/objects/{oid}"
        self.objects[oid] = content
        reply(request, {})

    def commit(self, folder: Path, line: dict[str, Any]) -> None:
        value = line["value"]
        if line["key"] == "file":
            (folder / value["path"]).write_bytes(base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            (folder / value["path"]).write_bytes(self.objects[value["oid"]])


def commit_of(revision: str) -> str:
    """What a branch stands for."""
    return COMMIT if revision == "main" else hashlib.sha1(revision.encode()).hexdigest()


def reply(
    request: BaseHTTPRequestHandler, content: object, *, kind: str = "application/json"
) -> None:
    body = json.dumps(content).encode()
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def refuse(request: BaseHTTPRequestHandler, code: str, commit: str = "") -> None:
    request.send_response(404)
    if commit:
        request.send_header("X-Repo-Commit", commit)
    request.send_header("X-Error-Code", code)
    request.send_header("Content-Length", "0")
    request.end_headers()
