"""What a system costs: computing time over speech time, and peak memory, in a fresh process."""

from __future__ import annotations

import pickle
import re
import resource
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from xcodec2.evaluate.audio import SAMPLE_RATE
from xcodec2.evaluate.workers import process_pool

SECONDS = 10


def costs(kind: str, name: Any, waveform: np.ndarray, device: str = "cpu") -> dict[str, Any]:
    """Measure one system on ten seconds of speech, in one thread of a fresh process.

    Args:
        kind: "model", "baseline", or "made" in Python.
        name: Of the former two, or the system itself.
        waveform: (N,) at 16 kHz; cut or repeated.
        device: For a model.

    Returns:
        real_time_factor (computing time over speech time) and peak_memory_mb, that of the process
        with Python and all its libraries, None for a codec that is a program of its own; or
        `error`.
    """
    speech = np.resize(waveform, SECONDS * SAMPLE_RATE).astype(np.float32)
    try:
        pickle.dumps(name)
        with process_pool(1) as executor:
            return executor.submit(_measure, kind, name, speech, device).result()
    except (
        BrokenProcessPool,
        pickle.PicklingError,
        AttributeError,
        TypeError,
        ValueError,
        OSError,
    ) as problem:
        return {"error": f"not measured: {type(problem).__name__}: {problem}"}


def _measure(kind: str, name: Any, speech: np.ndarray, device: str) -> dict[str, Any]:
    import torch

    from xcodec2.evaluate.systems.named import baseline
    from xcodec2.evaluate.systems.tokenizer import model_system

    torch.set_num_threads(1)
    if kind == "model":
        system = model_system(name, device)
    else:
        system = baseline(name) if kind == "baseline" else name
    system(speech[:SAMPLE_RATE])  # a process's first pass is slow, and no part of the figure
    started = time.perf_counter()
    system(speech)
    elapsed = time.perf_counter() - started
    apart = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > 0
    return {
        "real_time_factor": elapsed / SECONDS,
        "peak_memory_mb": None if apart else peak_memory(),
    }


def peak_memory() -> float:
    """MB that this process has had at most.

    On Linux from its own status: what getrusage says is at least what the process that started it
    had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 1024
    )
