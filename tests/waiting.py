"""Waiting for what must come about: no longer than it takes, and as long as the busiest machine may need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_SECONDS = 120.0
"""A test that fails waits so long; one that passes does not."""


def wait_until(is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Until it is so; an AssertionError if it never is."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


async def until(is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """The same on an event loop."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.01)
