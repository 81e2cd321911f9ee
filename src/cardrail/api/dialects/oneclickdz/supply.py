"""How many cards of each type could be delivered: what is in stock, and what suppliers have of what is bought when it is ordered."""

from __future__ import annotations

from cardrail.api.desk import Desk
from cardrail.catalog import Product
from cardrail.kernel import Mode, to_micros
from cardrail.sourcing import Listing, load_listings
from cardrail.storage import Tx
from cardrail.vault import stock_counts


class Supply:
    """A moment's view of live goods; only an order takes from them."""

    def __init__(self, in_stock: dict[tuple[str, int], int], listings: dict[str, list[Listing]], untold: int) -> None:
        self.in_stock = in_stock
        """(denomination, face value) → codes."""
        self._listings = listings
        self._untold = untold

    def count(self, denomination_id: str, face_minor: int) -> int:
        """Cards that could be delivered."""
        ways = [one for one in self._listings.get(denomination_id, ()) if _is_open(one) and one.sells(face_minor)]
        bought = sum([self._untold if one.stock is None else one.stock for one in ways])
        return self.in_stock.get((denomination_id, face_minor), 0) + bought


def load_supply(desk: Desk, product: Product, untold: int) -> Supply:
    """Of one product. ``untold`` stands for what a supplier has who does not say how much. Call it on a thread."""
    parts = desk.parts
    with parts.db.read() as tx:
        ids = [one.denomination_id for one in product.offers]
        in_stock = stock_counts(tx, Mode.LIVE, ids, to_micros(parts.clock.now()))
        return Supply(in_stock, _listings(tx, product), untold)


def _listings(tx: Tx, product: Product) -> dict[str, list[Listing]]:
    if product.sourcing == "stock":
        return {}
    return {one.denomination_id: load_listings(tx, one.denomination_id, Mode.LIVE) for one in product.sellable}


def _is_open(listing: Listing) -> bool:
    return listing.is_available and not listing.is_held
