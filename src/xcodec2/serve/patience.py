"""Waiting that ends in time, and when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


async def within(seconds: float, work: Awaitable[Result]) -> Result:
    """The result of some work, given up when it takes too long.

    Not `asyncio.wait_for`: before Python 3.12 that loses a cancellation which comes when the work
    is just done, and so nothing could stop whoever always has more to send to a client that left.

    Raises:
        asyncio.TimeoutError: It takes too long.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        task.cancel()
