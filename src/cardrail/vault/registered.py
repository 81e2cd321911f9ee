"""Whether a database knows its keys already: then opening it writes nothing, and a key file that is missing is not made anew."""

from __future__ import annotations

from collections.abc import Iterable

from cardrail.storage import Tx
from cardrail.vault import store


def keys_are_registered(tx: Tx, services: Iterable[str] = ()) -> bool:
    """Whether master keys were registered, and a service key was made for each of these purposes."""
    return bool(store.load_master_keys(tx)) and all(store.load_service_key(tx, name) is not None for name in services)
