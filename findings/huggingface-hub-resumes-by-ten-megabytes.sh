#!/usr/bin/env bash
# huggingface_hub 2.4.0, run 2026-11-28; the Hub is a server on loopback.
#
# A download that breaks off is tried again where it ended, but what arrived is written in pieces of 10
# MB: of a connection that ends after 9 MB nothing is kept, and the file is asked for from its first
# byte. Files of less than 10 MB never resume; over a line that breaks each few megabytes no file ever
# arrives. With a smaller `constants.DOWNLOAD_CHUNK_SIZE` the rest alone is asked for.
#
# Output seen:
#   pieces of 10 MB: all, all
#   pieces of 1 MB: all, bytes=9000000-
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

FILES = {"model.bin": bytes(12_000_000)}
asked = []
cut = {"after": 9_000_000}


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
from huggingface_hub import constants, hf_hub_download


def ranges():
    found = [span or "all" for method, span in asked if method == "GET"]
    asked.clear()
    return ", ".join(found)


with contextlib.redirect_stdout(sys.stderr):
    hf_hub_download("someone/model", "model.bin")
print("pieces of 10 MB:", ranges())
constants.DOWNLOAD_CHUNK_SIZE = 1_000_000
cut["after"] = 9_000_000
with contextlib.redirect_stdout(sys.stderr):
    hf_hub_download("someone/model", "model.bin", force_download=True)
print("pieces of 1 MB:", ranges())
PY
diff - "$work/out" <<'END'
pieces of 10 MB: all, all
pieces of 1 MB: all, bytes=9000000-
END
