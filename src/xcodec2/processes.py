"""Training in several processes: how it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

LETTING_GO = 0.2  # seconds; Gloo's threads only wait for Python


def shutdown_process_group(accelerator: Accelerator) -> None:
    """Wait until every process is done, and leave the group.

    Gloo's threads outlive it, and may still hold tensors of the last exchange. One that lets go of
    them while Python ends aborts the process (PyTorch's issue 190489), and the launcher then kills
    the others: Python sleeps here, so that they can do it before.
    """
    accelerator.wait_for_everyone()
    several = accelerator.num_processes > 1
    accelerator.end_training()
    if several:
        time.sleep(LETTING_GO)
