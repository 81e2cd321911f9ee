"""What G and V1 sell: one sku, one face value. A denomination that we sell as a range is a sku per face value there, WALLET:250.

The sheet's skus are opaque text (section 2.2), so ours stand as they are. A range lists the usual face values (profile) and may be
ordered at any that it allows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cardrail.api.compat import Call, load_supply
from cardrail.catalog import CatalogSnapshot, InvalidFaceValue, Offer, Product, UnitPrice, UnknownSku
from cardrail.kernel import InvalidAmount, Mode, Money, currency, format_minor, parse_minor
from cardrail.orders import Behaviour, ItemRequest, OrderItem, behaviour_of, sandbox_offer, sandbox_price

SEPARATOR = ":"

TEST_STOCK = 1_000
"""What test keys see of any sku: their codes are made, so this is no count."""

USUAL_FACES = ("10", "20", "25", "50", "100", "200", "250", "500", "1000")


@dataclass(frozen=True, slots=True)
class Ware:
    """A denomination at one face value."""

    sku: str
    offer: Offer
    face_minor: int
    product: Product | None
    """None for a sku of test mode."""
    behaviour: Behaviour = Behaviour.REAL

    @property
    def name(self) -> str:
        """The product with its face value: Game card 500 INR."""
        return f"{self.offer.name} {short_text(self.face_minor, self.offer.currency.digits)} {self.offer.currency.code}"

    @property
    def face_text(self) -> str:
        return format_minor(self.face_minor, self.offer.currency.digits)


def short_text(minor: int, digits: int) -> str:
    """A face value as people write it: 250, 33.33."""
    text = format_minor(minor, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def sku_of(offer: Offer, face_minor: int) -> str:
    """The sku of an offer at a face value."""
    return offer.sku if offer.type == "fixed" else f"{offer.sku}{SEPARATOR}{short_text(face_minor, offer.currency.digits)}"


def shown_sku(snapshot: CatalogSnapshot, item: OrderItem) -> str:
    """The sku of an order's line, as it was ordered here."""
    offer = snapshot.offer(item.sku)
    return item.sku if offer is None else sku_of(offer, item.face_minor)


def find_ware(snapshot: CatalogSnapshot, sku: str, mode: Mode, wallet: str) -> Ware:
    """What a sku stands for. Raises UnknownSku, also for a retired one, a bare range and a face value that it does not allow."""
    behaviour = behaviour_of(sku, mode)
    if behaviour is not Behaviour.REAL:
        offer = sandbox_offer(sku, wallet)
        return Ware(sku, offer, offer.face_minor or 0, None, behaviour)
    offer, face_minor = _split(snapshot, sku)
    product = snapshot.product(offer.product_id)
    if not offer.is_sellable or product is None:
        raise UnknownSku(sku=sku[:128])
    return Ware(sku_of(offer, face_minor), offer, face_minor, product)


def item_request(
    snapshot: CatalogSnapshot, sku: str, quantity: int, mode: Mode, fields: dict[str, str] | None = None
) -> ItemRequest:
    """The line of an order. Raises UnknownSku."""
    if SEPARATOR not in sku or snapshot.offer(sku) is not None or behaviour_of(sku, mode) is not Behaviour.REAL:
        return ItemRequest(sku, quantity, fields=fields)
    offer, face_minor = _split(snapshot, sku)
    return ItemRequest(offer.sku, quantity, Money(face_minor, offer.currency), fields)


def _split(snapshot: CatalogSnapshot, sku: str) -> tuple[Offer, int]:
    """Raises UnknownSku."""
    offer = snapshot.offer(sku)
    face_minor = None
    if offer is None:
        base, _, face = sku.rpartition(SEPARATOR)
        offer = snapshot.offer(base)
        if offer is None or offer.type == "fixed":
            raise UnknownSku(sku=sku[:128])
        try:
            face_minor = parse_minor(face, offer.currency.digits)
        except InvalidAmount:
            raise UnknownSku(sku=sku[:128]) from None
    elif offer.type == "range":
        raise UnknownSku(sku=sku[:128])
    try:
        return offer, snapshot.face_of(offer, face_minor)
    except InvalidFaceValue:
        raise UnknownSku(sku=sku[:128]) from None


def price_of(snapshot: CatalogSnapshot, call: Call, ware: Ware, wallet: str) -> UnitPrice:
    """What a unit costs the caller. Raises PriceUnavailable, NoExchangeRate, BelowCost; UnknownCurrency."""
    if ware.behaviour is not Behaviour.REAL:
        return sandbox_price(ware.offer)
    who = call.principal
    return snapshot.unit_price(
        ware.offer, ware.face_minor, partner_id=who.partner_id, price_list_id=who.price_list_id, currency=currency(wallet).code
    )


def count_units(call: Call, wares: Sequence[Ware], untold: int) -> list[int]:
    """How many units of each could be delivered now, from stock or by suppliers; ``untold`` stands for one who does not say how many.

    Reads the database: call it through ``desk.read``.
    """
    if call.principal.mode is Mode.TEST:
        return [0 if one.behaviour is Behaviour.OUT_OF_STOCK else TEST_STOCK for one in wares]
    supply = load_supply(call.desk.parts, [one.offer for one in wares], untold)
    return [supply.count(one.offer.denomination_id, one.face_minor) for one in wares]


def region_of(product: Product | None, everywhere: str) -> str:
    """The region label: the countries where it redeems, or the word for everywhere."""
    return "+".join(product.countries) if product is not None and product.countries else everywhere


class Shelf:
    """All wares of a catalog, by sku, to be paged through."""

    def __init__(self, snapshot: CatalogSnapshot, usual_faces: Sequence[str], *, takes_input: bool) -> None:
        self.snapshot = snapshot
        wares = [
            Ware(sku_of(offer, face), offer, face, product)
            for product in snapshot.all_products
            if takes_input or not any(one.required for one in product.input_fields)
            for offer in product.sellable
            for face in _faces(offer, usual_faces)
        ]
        self.wares = sorted(wares, key=lambda one: one.sku)
        self._skus = [one.sku for one in self.wares]

    def after(self, sku: str) -> Iterator[Ware]:
        """The wares behind a sku; all of them behind ""."""
        for place in range(bisect_right(self._skus, sku), len(self.wares)):
            yield self.wares[place]


class Shelves:
    """The shelf of the newest catalog that was asked for; making one takes milliseconds, so it is kept. Call it on a thread."""

    def __init__(self, usual_faces: Sequence[str], *, takes_input: bool = True) -> None:
        """``takes_input``: whether orders can tell what a top-up needs; without, such products are not listed."""
        self._usual_faces = usual_faces
        self._takes_input = takes_input
        self._shelf: Shelf | None = None

    def of(self, snapshot: CatalogSnapshot) -> Shelf:
        found = self._shelf
        if found is None or found.snapshot is not snapshot:
            found = self._shelf = Shelf(snapshot, self._usual_faces, takes_input=self._takes_input)
        return found


def _faces(offer: Offer, usual: Sequence[str]) -> list[int]:
    """The face values under which an offer is listed."""
    if offer.type == "fixed":
        return [offer.face_minor or 0]
    low, high, step = offer.min_minor or 0, offer.max_minor or 0, offer.step_minor or 1
    given = {int(face) * 10**offer.currency.digits for face in usual}
    return sorted(face for face in given if low <= face <= high and (face - low) % step == 0)
