"""An app on a socket, until a signal ends it."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from xcodec2.errors import XCodec2Error
from xcodec2.extras import require

DRAIN_SECONDS = 30  # that running requests have after a signal
KEEP_ALIVE_SECONDS = 75  # clients that keep connections think they have a minute
MAX_MESSAGE = 4 << 20  # bytes of a WebSocket's message


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        XCodec2Error: The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(2048)
    except OSError as problem:
        raise XCodec2Error(
            f"{host}:{port} cannot be listened at ({problem.strerror or problem}): take another "
            "--port or --host"
        ) from problem
    return found


def url_of(listener: socket.socket) -> str:
    """What to type into a browser."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve_app(app: Any, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; running requests have 30 s to finish.

    Args:
        app: Of `create_app`.
        listener: Of `listening`.

    Raises:
        XCodec2Error: The models could not be loaded.
    """
    uvicorn = require("uvicorn", "websockets", extra="serve", purpose="the server")
    service = app.state.service

    class Server(uvicorn.Server):  # type: ignore[name-defined]
        """One that ends well after a signal: uvicorn's own raises the signal again."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Take the signals while it runs."""
            signals = (signal.SIGTERM, signal.SIGINT)
            before = {sign: signal.signal(sign, self.handle_exit) for sign in signals}
            try:
                yield
            finally:
                for sign, handler in before.items():
                    signal.signal(sign, handler)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Take no more requests; a second Ctrl-C waits for nothing."""
            service.closing = True
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,
    )
    server = Server(config)

    def stop() -> None:
        server.should_exit = True

    service.failed = stop
    server.run(sockets=[listener])
    if service.problem is not None:
        raise XCodec2Error(service.problem)
