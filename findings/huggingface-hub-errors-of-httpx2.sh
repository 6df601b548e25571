#!/usr/bin/env bash
# huggingface_hub 2.4.0 with httpx 0.28.1 beside it (PyPI), run 2026-11-29.
#
# Its connections are httpx2's, another package than httpx: where the Hub cannot be reached, and in what it
# raises for an answer of an error, `except httpx.HTTPError` catches nothing, and an unreachable Hub is
# no OSError either. Its own HfHubHTTPError names the class to catch among its bases.
#
# Output seen:
#   unreachable: httpx2.ConnectError, httpx's: False, OSError: False, a base of HfHubHTTPError: True
#   answers 500: huggingface_hub.errors.HfHubHTTPError, httpx's: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q huggingface_hub==2.4.0 httpx==0.28.1

cat > "$work/ask.py" <<'PY'
import http.server
import socket
import threading

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError


def asked(endpoint):
    try:
        HfApi(endpoint=endpoint).model_info("someone/codec", timeout=5)
    except Exception as problem:
        return problem


def name_of(problem):
    module = type(problem).__module__
    return f"{module if module.startswith('huggingface') else module.split('.')[0]}.{type(problem).__name__}"


with socket.socket() as closed:  # a port on which nobody listens
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
problem = asked(f"http://127.0.0.1:{port}")
print(
    f"unreachable: {name_of(problem)}, httpx's: {isinstance(problem, httpx.HTTPError)}, "
    f"OSError: {isinstance(problem, OSError)}, "
    f"a base of HfHubHTTPError: {isinstance(problem, HfHubHTTPError.__bases__[0])}"
)


class Broken(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Broken)
threading.Thread(target=server.serve_forever, daemon=True).start()
problem = asked(f"http://127.0.0.1:{server.server_port}")
print(f"answers 500: {name_of(problem)}, httpx's: {isinstance(problem, httpx.HTTPError)}")
PY
"$work/venv/bin/python" "$work/ask.py" | tee "$work/out"
diff - "$work/out" <<'SEEN'
unreachable: httpx2.ConnectError, httpx's: False, OSError: False, a base of HfHubHTTPError: True
answers 500: huggingface_hub.errors.HfHubHTTPError, httpx's: False
SEEN
