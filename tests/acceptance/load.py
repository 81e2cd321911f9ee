"""Buyers on threads who go on ordering until told to stop, and remember what they were told."""

from __future__ import annotations

import threading
from collections import Counter
from http.client import HTTPException

from tests.acceptance.server import Answer, Place, Server


class Crowd:
    """Some buyers at one server. ``acknowledged`` are orders that were answered 201; ``unsure`` are keys without an answer."""

    def __init__(self, place: Place, server: Server, name: str, buyers: int = 8) -> None:
        self.acknowledged: dict[str, Answer] = {}
        self.unsure: list[str] = []
        self.refused: dict[str, Answer] = {}
        self._place = place
        self._server = server
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._buy, args=(f"{name}-{buyer}",)) for buyer in range(buyers)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def statuses(self) -> Counter[int]:
        """How often which status was answered, besides 201."""
        return Counter(answer.status for answer in self.refused.values())

    def _buy(self, name: str) -> None:
        with self._server.buyer() as buyer:
            number = 0
            while not self._stopping.is_set():
                number += 1
                key = f"{name}-{number}"
                try:
                    answer = buyer.order(key, reference=key)
                except ConnectionRefusedError:
                    return  # the server is gone, and never heard of this one
                except (OSError, HTTPException):
                    self.unsure.append(key)
                    continue
                if answer.status == 201:
                    self.acknowledged[key] = answer
                else:
                    self.refused[key] = answer
                    self._stopping.wait(0.01)
