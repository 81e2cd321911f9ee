"""The threads on which the server reads, and how many may wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from cardrail.kernel import QueueFull

T = TypeVar("T")

WAITING_MAX: Final = 1_000
"""Reads that may be waited for at a time, the running ones included; beyond it the answer is 503 with Retry-After."""


class Readers(ThreadPoolExecutor):
    """A pool whose ``run`` refuses when too many wait. ``run`` is for one event loop only."""

    def __init__(self, threads: int, waiting_max: int = WAITING_MAX, *, name: str = "cardrail-read") -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._waiting_max = waiting_max
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run a read on a thread. Raises QueueFull, and then nothing was done; so not for what follows a write."""
        if self._waiting >= self._waiting_max:
            raise QueueFull(retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self, work)
        finally:
            self._waiting -= 1


RECOVERIES: Final = Readers(1, 10, name="cardrail-recover")
"""Where endpoints' whole past is walked through, one at a time for all partners: it takes long, and must keep no read waiting."""
