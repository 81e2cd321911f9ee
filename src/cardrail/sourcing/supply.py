"""What can be bought on demand, in memory: the order lane asks for each batch that holds something which is not from stock only."""

from __future__ import annotations

from cardrail.sourcing import store
from cardrail.storage import Tx


class SupplyCache:
    """The denominations that an active supplier sells, as of one version."""

    def __init__(self) -> None:
        self._known: tuple[int, frozenset[str]] | None = None

    def ensure(self, tx: Tx, version: int) -> frozenset[str]:
        """Those of the version that the caller has just read in its own transaction, loaded there if they are not at hand."""
        known = self._known
        if known is None or known[0] != version:
            known = self._known = (version, store.load_supplied(tx))
        return known[1]
