"""Looking up the names of customers' hosts, so that no slow name server holds up the others.

A name is looked up by one thread at a time, however many messages wait for it, and the answer is kept for some seconds. A look-up that
takes long gives its place to others while it goes on, and next time that name waits for a place among the slow ones. What is kept are
addresses, which the guard checks each time before it connects to that very address: a name whose answer changes gains nothing by it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LOOKUPS_MAX: Final = 32
"""Names that are looked up at a time, and as many that took long the last time."""
SLOW_SECONDS: Final = 1.0
KEEP_SECONDS: Final = 10.0
"""How long an answer is used again."""
KEPT_MAX: Final = 10_000

Lookup = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system finds them. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is no label
        raise OSError from error
    return [str(address[0]) for *_, address in found]


class Names:
    """The look-ups of one process; it lives on one event loop."""

    def __init__(self, lookup: Lookup, *, lookups_max: int = LOOKUPS_MAX, slow_seconds: float = SLOW_SECONDS) -> None:
        self._lookup = lookup
        self._slow_seconds = slow_seconds
        self._places = asyncio.Semaphore(lookups_max)
        self._slow_places = asyncio.Semaphore(lookups_max)
        self._slow: set[str] = set()
        self._kept: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._under_way: dict[tuple[str, int], asyncio.Task[list[str]]] = {}

    async def find(self, host: str, port: int) -> list[str]:
        """The name's addresses. Raises OSError; whoever asks sees to it that he does not wait for ever."""
        key = (host, port)
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._find(host, port))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)  # who asked may give up: the next one gets the answer

    def forget(self, host: str, port: int) -> None:
        """Look it up anew next time: nobody was there, or nobody who may be connected to."""
        self._kept.pop((host, port), None)

    def _done(self, key: tuple[str, int], task: asyncio.Task[list[str]]) -> None:
        self._under_way.pop(key, None)
        if task.cancelled() or task.exception() is not None:
            return
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[key] = (time.monotonic() + KEEP_SECONDS, task.result())

    async def _find(self, host: str, port: int) -> list[str]:
        if host in self._slow:
            async with self._slow_places:
                found = await self._ask(host, port)
            self._slow.discard(host)
            return found
        async with self._places:
            answer = self._ask(host, port)
            await asyncio.wait([answer], timeout=self._slow_seconds)
        if not answer.done():
            self._slow.add(host)
        return await answer

    def _ask(self, host: str, port: int) -> asyncio.Future[list[str]]:
        """The answer of a thread of its own, which nothing waits for at the end of the process."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def tell(found: list[str], error: OSError | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(found)

        def run() -> None:
            found: list[str] = []
            failure = None
            try:
                found = self._lookup(host, port)
            except OSError as error:
                failure = error
            except Exception as error:  # whoever waits must be told, whatever it is
                failure = OSError(type(error).__name__)
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(tell, found, failure)

        threading.Thread(target=run, name="cardrail-lookup", daemon=True).start()
        return answer
