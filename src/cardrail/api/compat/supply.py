"""How many units could be delivered now: what is in the vault, and what suppliers have of what is bought when it is ordered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cardrail.api.parts import Installation
from cardrail.catalog import Offer
from cardrail.kernel import DenominationId, Mode, to_micros
from cardrail.sourcing import Listing, load_listings
from cardrail.storage import read_version
from cardrail.vault import stock_counts


@dataclass(frozen=True, slots=True)
class Supply:
    """A moment's view of live goods; only an order takes from them."""

    in_stock: Mapping[tuple[str, int], int]
    """(denomination, face value) → codes."""
    listings: Mapping[DenominationId, Sequence[Listing]]
    """The open ways to buy a denomination; none of what is sold from stock only."""
    untold: int
    """Stands for what a supplier has who does not say how much."""

    def count(self, denomination_id: DenominationId, face_minor: int) -> int:
        """Units that could be delivered."""
        ways = [one for one in self.listings.get(denomination_id, ()) if one.sells(face_minor)]
        bought = sum([self.untold if one.stock is None else one.stock for one in ways])
        return self.in_stock.get((denomination_id, face_minor), 0) + bought


def load_supply(parts: Installation, offers: Iterable[Offer], untold: int) -> Supply:
    """Of these offers, in live mode. Reads the database: call it on a thread."""
    known = {one.denomination_id: one for one in offers}
    with parts.db.read() as tx:
        in_stock = stock_counts(tx, Mode.LIVE, sorted(known), to_micros(parts.clock.now()))
        supplied = parts.shop.supply.ensure(tx, read_version(tx, "supply"))
        bought = sorted([id_ for id_, one in known.items() if one.sourcing != "stock" and id_ in supplied])
        listings = {one: [way for way in load_listings(tx, one, Mode.LIVE) if _is_open(way)] for one in bought}
    return Supply(in_stock, listings, untold)


def _is_open(listing: Listing) -> bool:
    return listing.is_available and not listing.is_held
