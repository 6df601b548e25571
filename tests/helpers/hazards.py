"""Places and audio that hang or kill the process that touches them.

Without PyTorch: the processes of such tests are started again and again, and each start would take
seconds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xcodec2.errors import XCodec2Error


@dataclass(frozen=True)
class Fatal:
    """Stands for what a reader has heard; encoding it kills the process, as a defect in a kernel
    would.
    """

    source: str

    @property
    def waveform(self) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGSEGV)
        return np.zeros(0)


@dataclass(frozen=True)
class Hang:
    def read(self) -> bytes:
        time.sleep(1000)
        return b""


@dataclass(frozen=True)
class CrashOnce:
    """Kills the process at the first reading; what it leaves at `path` makes the second one a plain
    failure.
    """

    path: str

    def read(self) -> bytes:
        if os.path.exists(self.path):
            raise XCodec2Error("read a second time")
        Path(self.path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
        return b""


def counter() -> Callable[[Sequence[Fatal]], list[int]]:
    """What stands in for an encoding process: it counts samples."""
    return lambda items: [len(item.waveform) for item in items]
