"""A process that does one thing on request, and that may hang or crash without harm to the one that
asks.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, Pipe
from typing import Any

from xcodec2.errors import XCodec2Error

START_SECONDS = 300.0  # to import and to load a model, on a busy machine
MAIN = "import sys; from xcodec2.extract.child import serve; serve(int(sys.argv[1]))"


class Died(Exception):
    """The process crashed or was stopped at its time limit; the message says which."""


class Child:
    """`target`, "module:function", is called with `args` in a new process and gives the function
    that answers requests.

    The process starts at the first request and, after it died, again at the next one, until
    `close`. One thread asks; another one may stop or close it.
    """

    def __init__(self, target: str, *args: Any, quiet: bool = False) -> None:
        self.target, self.args, self.quiet = target, args, quiet
        self.process: subprocess.Popen[bytes] | None = None
        self.pipe: Connection | None = None
        self.changing = threading.Lock()  # held to start the process or to take it away
        self.closed = False

    def ask(self, request: Any, seconds: float | None = None) -> Any:
        """The answer.

        Raises Died, after `seconds` too; XCodec2Error when the child cannot start or refuses.
        """
        pipe = self.pipe or self.start()
        try:
            pipe.send(request)
            return self.receive(pipe, seconds)
        except (EOFError, OSError) as problem:
            raise Died(self.stop()) from problem

    def start(self) -> Connection:
        """Start the process and wait until it is ready.

        Raises:
            Died: It ended before, or took longer than START_SECONDS.
            XCodec2Error: It could not start.
        """
        ours, theirs = Pipe()
        command = [sys.executable, "-c", MAIN, str(theirs.fileno())]
        output = (
            subprocess.DEVNULL if self.quiet else None
        )  # decoders write warnings about every damaged file
        with self.changing:
            if self.closed:
                raise XCodec2Error("the run has ended, and its processes with it")
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdout=output, stderr=output
            )
            self.pipe = ours
        theirs.close()
        try:
            ours.send((self.target, self.args))
            self.receive(ours, START_SECONDS)
        except (EOFError, OSError, Died) as problem:
            raise XCodec2Error(f"a worker process could not start ({self.stop()})") from problem
        return ours

    def receive(self, pipe: Connection, seconds: float | None) -> Any:
        """The process's next answer.

        Raises:
            Died: It ended, or took longer than `seconds`.
            XCodec2Error: What the process raised, by its message.
        """
        if not pipe.poll(seconds):
            self.stop()
            raise Died(f"took longer than {seconds:g} s")
        fine, answer = pipe.recv()
        if not fine:
            raise XCodec2Error(answer)
        return answer

    def stop(self) -> str:
        """End the process, whatever it does; says how it had ended."""
        with self.changing:
            process, pipe = self.process, self.pipe
            self.process = self.pipe = None
        if process is None or pipe is None:
            return "was not running"
        pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)  # one that crashed by itself, or saw its pipe close, is gone by now
        process.kill()
        code = process.wait()
        return f"ended with exit code {code}" if code >= 0 else f"crashed with signal {-code}"

    def close(self) -> None:
        """End the process for good: a thread that still asks gets an error, and no new process."""
        with self.changing:
            self.closed = True
        self.stop()


def serve(descriptor: int) -> None:
    """The child's life: set up once, then one answer a request, until the parent hangs up or
    dies.
    """
    die_with_parent()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to the whole group; the parent decides
    pipe = Connection(descriptor)
    try:
        target, args = pipe.recv()
        module, name = target.split(":")
        answer = getattr(importlib.import_module(module), name)(*args)
        pipe.send((True, None))
        while True:
            request = pipe.recv()
            try:
                reply = (True, answer(request))
            except Exception as problem:
                said = (
                    str(problem)
                    if isinstance(problem, XCodec2Error)
                    else f"{type(problem).__name__}: {problem}"
                )
                reply = (False, " ".join(said.split()))
            pipe.send(reply)
    except EOFError:
        os._exit(0)  # not through atexit: a library there may wait for threads that hang
    except Exception as problem:
        with contextlib.suppress(OSError):
            pipe.send((False, " ".join(f"{type(problem).__name__}: {problem}".split())))
        os._exit(1)


def die_with_parent() -> None:
    """End when the parent is gone, in the midst of a long request too.

    By looking, not by Linux' PR_SET_PDEATHSIG: that signal comes when the parent's thread ends, and
    ours come and go.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
