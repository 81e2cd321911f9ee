"""Webhooks as the worst of networks brings them: again, late, and out of order."""

from __future__ import annotations

import random
from collections.abc import Sequence

import httpx2

from tests.webhooks.receiver import Received

HOPS = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding"})


def redeliver(received: Sequence[Received], url: str, *, times: int = 2, seed: int = 0) -> list[int]:
    """Post each of these requests so many times to that address, bytes and headers as they were, all of it shuffled; the statuses.

    ``received`` is what a ``Receiver`` caught, or a fault proxy kept. A signature that names the receiver's address does not survive it.
    """
    again = [one for one in received for _ in range(times)]
    random.Random(seed).shuffle(again)
    with httpx2.Client(timeout=60, trust_env=False) as client:
        return [
            client.post(
                url, content=one.body, headers={name: text for name, text in one.headers.items() if name not in HOPS}
            ).status_code
            for one in again
        ]
