#!/usr/bin/env bash
# huggingface_hub 2.4.0, run 2026-11-28; the Hub is a server on loopback.
#
# A file that a repository does not have, an optional config.json say: online, `hf_hub_download` raises
# EntryNotFoundError and writes down in the cache that it is absent. Offline (HF_HUB_OFFLINE=1) it does
# not look there: the same call raises LocalEntryNotFoundError, "cannot find the requested files in the
# local cache". A loader that asks for optional files works online, and not offline with a complete
# cache. `try_to_load_from_cache` does know. LocalEntryNotFoundError is an EntryNotFoundError, so
# catching that takes every file for absent where there is no connection.
#
# Output seen:
#   online: model.bin RemoteEntryNotFoundError
#   offline: model.bin LocalEntryNotFoundError
#   known to be absent: True
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q huggingface_hub==2.4.0
"$work/venv/bin/python" - "$work/cache" <<'PY' 2> "$work/log" | tee "$work/out"
import contextlib
import hashlib
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILES = {"model.bin": b"weights"}
asked = []
cut = {"after": 0}


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        if self.path.endswith(".bin"):
            asked.append((self.command, self.headers.get("Range")))
        content = FILES.get(self.path.rpartition("/")[2])
        self.send_response(206 if self.headers.get("Range") else 200 if content else 404)
        self.send_header("X-Repo-Commit", "0" * 40)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_header("ETag", hashlib.sha256(content).hexdigest())
        start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        size, content = len(content), content[start:]
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            if cut["after"]:
                content, cut["after"] = content[: cut["after"]], 0
                self.close_connection = True
            self.wfile.write(content)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
os.environ["HF_HUB_CACHE"] = sys.argv[1]
os.environ["HF_HUB_DISABLE_XET"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache


def ask(file):
    try:
        return os.path.basename(hf_hub_download("someone/model", file))
    except Exception as problem:
        return type(problem).__name__


print("online:", ask("model.bin"), ask("config.json"))
constants.HF_HUB_OFFLINE = True
print("offline:", ask("model.bin"), ask("config.json"))
known = try_to_load_from_cache("someone/model", "config.json")
print("known to be absent:", known is not None and not isinstance(known, str))
PY
diff - "$work/out" <<'END'
online: model.bin RemoteEntryNotFoundError
offline: model.bin LocalEntryNotFoundError
known to be absent: True
END
