"""How the threads of libraries wait, decided before any of them is imported."""

from __future__ import annotations

import os

# Training keeps all cores busy for hours and owns them; its threads may spin.
SPINNING = ("train", "llasa")
# A few recordings, by the engine: NumPy's products are too small for a second thread, which spins.
SINGLE = ("encode", "decode", "info", "reconstruct", "speak")


def settle_threads(verb: str) -> None:
    """Let waiting threads sleep, unless the user's environment says otherwise.

    OpenMP's spin between two operations by default: two commands side by side then take each
    other's cores.

    Args:
        verb: Of the command line.
    """
    if verb not in SPINNING:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if verb in SINGLE:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
