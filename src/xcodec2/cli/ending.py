"""How the command's process ends: with its exit code, whatever threads are still alive."""

from __future__ import annotations

import atexit
import errno
import os
import sys


class ProcessEnd:
    """Ends the process in place of the interpreter's clearing away, after all else at exit.

    Threads of libraries (Arrow's readers, Gloo) outlive a command. One that wants the interpreter
    while it is being torn down is stopped by Python before 3.14 in the middle of C++ code, which
    aborts the process: "terminate called without an active exception", exit code 134 instead of 1
    or 0. Functions registered with `atexit` run in reverse order, so that this one, registered
    before any library is imported, comes last: temporary files are gone and pools joined by then.
    """

    def __init__(self) -> None:
        self.code = 1  # when not even `main` came to its end
        atexit.register(self)

    def __call__(self) -> None:
        """Flush the standard streams and end, with 1 where the output could not be written."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BrokenPipeError:  # the reader had enough, as `head` has
                self.code = self.code or 1
            except (OSError, ValueError) as problem:
                self.code = self.code or 1
                full = isinstance(problem, OSError) and problem.errno != errno.EBADF
                if full and stream is sys.stdout:
                    os.write(2, f"xcodec2: error: standard output: {problem}\n".encode())
            except AttributeError:  # started without standard streams
                pass
        os._exit(self.code)
