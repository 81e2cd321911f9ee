"""GET /products, and which of our offers an order means (specs/finperks.md, sections 2.1 and 2.6).

A product of theirs is a code with permitted face values: the fixed ones of a product of ours together have that product's UUID, each of
its ranges has its denomination's. A UUID means the same thing for ever, and what is retired is still known.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, json_answer, minor_of
from cardrail.api.dialects.finperks.amounts import amount_text
from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.api.dialects.finperks.surface import finperks
from cardrail.api.dialects.finperks.wire import TEXT, FixedOut, OrderIn, PlainOrderIn, ProductOut, RangeOut
from cardrail.api.errors import InvalidBody
from cardrail.catalog import CatalogSnapshot, Offer, PriceUnavailable, Product
from cardrail.kernel import CardrailError, Mode, Money, id_of_uuid, uuid_of
from cardrail.orders import Behaviour, ItemRequest, behaviour_of, sandbox_offer

LISTS_KEPT_MAX: Final = 64
ITEMS_KEPT_MAX: Final = 10_000

_plain: Final = msgspec.json.Decoder(PlainOrderIn).decode
_text: Final = re.compile(TEXT).search


class ProductLists:
    """Answers GET /products. The encoded lists of the newest snapshot are kept, by whom they are for; the longest unused goes first."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._snapshot: CatalogSnapshot | None = None
        self._kept: OrderedDict[object, bytes] = OrderedDict()

    async def answer(self, call: Call) -> Answer:
        """Everything that this client may order, in one answer."""
        snapshot, principal, profile = call.desk.parts.catalog.current(), call.principal, finperks(call).profile
        key = (principal.partner_id, principal.price_list_id, principal.currency)
        body = self._get(snapshot, key)
        if body is None:
            has_mail = has_mail_server(call)
            body = await call.desk.read(lambda: msgspec.json.encode(products_of(snapshot, principal, profile, has_mail=has_mail)))
            self._keep(snapshot, key, body)
        return json_answer(msgspec.Raw(body))

    def _get(self, snapshot: CatalogSnapshot, key: object) -> bytes | None:
        with self._guard:
            found = self._kept.get(key) if snapshot is self._snapshot else None
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def _keep(self, snapshot: CatalogSnapshot, key: object, body: bytes) -> None:
        with self._guard:
            if snapshot is not self._snapshot:
                self._snapshot = snapshot
                self._kept.clear()
            self._kept[key] = body
            if len(self._kept) > LISTS_KEPT_MAX:
                self._kept.popitem(last=False)


def products_of(
    snapshot: CatalogSnapshot, principal: Principal, profile: FinperksProfile, *, has_mail: bool = False
) -> list[ProductOut]:
    """What the client may order: sold, of a kind that this protocol can order, and with a price for him."""
    found: list[ProductOut] = []
    for product in snapshot.all_products:
        methods = methods_of(product, profile, has_mail=has_mail)
        offers = [offer for offer in product.sellable if methods and _has_price(snapshot, offer, principal)]
        fixed = sorted([offer.face_minor or 0 for offer in offers if offer.type == "fixed"])
        code = product.currency.code
        if fixed:
            values = FixedOut([amount_text(minor, code) for minor in fixed])
            found.append(_product_out(product, uuid_of(product.id), values, methods, profile))
        for offer in offers:
            if offer.type == "range":
                span = [amount_text(minor or 0, code) for minor in (offer.min_minor, offer.max_minor, offer.step_minor)]
                found.append(_product_out(product, uuid_of(offer.denomination_id), RangeOut(*span), methods, profile))
    return found


def has_mail_server(call: Call) -> bool:
    """Whether this installation can mail to recipients."""
    return "email" in call.desk.parts.office.channels


def methods_of(product: Product, profile: FinperksProfile, *, has_mail: bool = False) -> tuple[str, ...]:
    """The delivery methods that a product can be ordered with; none where an order would need fields that this protocol has not."""
    if product.input_fields and any(field.required for field in product.input_fields):
        return ()
    found = profile.delivery_methods.get(product.kind, ())
    return (*found, "email") if found and has_mail and profile.mails and "email" not in found else found


def _has_price(snapshot: CatalogSnapshot, offer: Offer, principal: Principal) -> bool:
    try:
        snapshot.unit_price(
            offer,
            (offer.face_minor if offer.type == "fixed" else offer.min_minor) or 0,
            partner_id=principal.partner_id,
            price_list_id=principal.price_list_id,
            currency=principal.currency,
        )
    except CardrailError:
        return False
    return True


def _product_out(
    product: Product, code: str, face_value: RangeOut | FixedOut, methods: Iterable[str], profile: FinperksProfile
) -> ProductOut:
    texts = product.translations.get(profile.language) or next(iter(product.translations.values()), None)
    return ProductOut(
        code=code,
        name=product.name,
        countries=list(product.countries),
        currency=product.currency.code,
        face_value=face_value,
        delivery_methods=list(methods),
        redemption_instructions=texts.instructions if texts else None,
        terms_and_conditions=texts.terms if texts else None,
        redemption_notes=texts.description if texts else None,
        image_url=product.image_url,
    )


# --- what an order means ----------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """What an order asks for."""

    item: ItemRequest
    code: str
    """The usual product code of its sku."""


class ItemMemory:
    """The lines that orders asked for, as they were resolved by the newest snapshot: shops order the same few cards over and over.

    Used on the event loop only.
    """

    def __init__(self) -> None:
        self._snapshot: CatalogSnapshot | None = None
        self._kept: dict[tuple[str, ...], Line] = {}

    def known(self, call: Call, body: bytes) -> tuple[PlainOrderIn, Line] | None:
        """An order and its line where everything that it asks for was asked for before; None where it needs a closer look."""
        try:
            wanted = _plain(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        delivery = wanted.delivery_method
        if delivery.type == "email" or delivery.email is not None or wanted.client_partner is not None:
            return None
        line = self._at(call.desk.parts.catalog.current()).get(_key_of(wanted))
        return None if line is None or _text(wanted.customer.id) is None else (wanted, line)

    def line_of(self, call: Call, wanted: OrderIn) -> Line:
        """The line that an order asks for. What is retired is found too: whether it is sold today is the order's own question.

        Raises InvalidBody with the member that is wrong, PriceUnavailable where this protocol cannot order the product.
        """
        snapshot = call.desk.parts.catalog.current()
        kept, key = self._at(snapshot), _key_of(wanted)
        found = kept.get(key)
        if found is not None:
            return found
        item = _item_of(call, snapshot, wanted)
        line = Line(item, product_code_of(snapshot, item.sku))
        if behaviour_of(item.sku, Mode.TEST) is Behaviour.REAL:  # the sandbox's own depend on who asks
            kept[key] = line
        return line

    def _at(self, snapshot: CatalogSnapshot) -> dict[tuple[str, ...], Line]:
        if snapshot is not self._snapshot or len(self._kept) > ITEMS_KEPT_MAX:
            self._snapshot = snapshot
            self._kept.clear()
        return self._kept


def _key_of(wanted: PlainOrderIn) -> tuple[str, ...]:
    """All that decides which line an order asks for."""
    face = wanted.face_value
    return (wanted.product_code, wanted.country, face.currency, face.amount, wanted.delivery_method.type)


def _item_of(call: Call, snapshot: CatalogSnapshot, wanted: OrderIn) -> ItemRequest:
    product, offers = _resolve(snapshot, call.principal, wanted.product_code)
    if not offers:
        raise wrong("product_code", "There is no such product.")
    if product is not None:
        methods = methods_of(product, finperks(call).profile, has_mail=has_mail_server(call))
        if not methods:
            raise PriceUnavailable(reason="not sold through this protocol")
        if product.countries and wanted.country not in product.countries:
            raise wrong("country", "The product does not redeem there.")
        if wanted.delivery_method.type not in methods:
            raise wrong("delivery_method.type", "The product is not delivered so.")
    elif wanted.delivery_method.type != "code":
        raise wrong("delivery_method.type", "The product is not delivered so.")
    unit = offers[0].currency
    if wanted.face_value.currency != unit.code:
        raise wrong("face_value.currency", "The product has another currency.")
    try:
        face = minor_of(wanted.face_value.amount, unit.code)
    except CardrailError:
        raise wrong("face_value.amount", "It has more digits than the currency.") from None
    offer = _offer_for(offers, face)
    if offer is None:
        raise wrong("face_value.amount", "It is not one of the product's face values.")
    return ItemRequest(offer.sku, 1, None if offer.type == "fixed" else Money(face, unit))


def wrong(field: str, sentence: str) -> InvalidBody:
    """A parameter that is not valid."""
    return InvalidBody(pointer="/" + field.replace(".", "/"), detail=sentence)


def product_code_of(snapshot: CatalogSnapshot, sku: str) -> str:
    """The product code of a sku, for an order that came another way."""
    offer = snapshot.offer(sku)
    if offer is None:
        return sku
    return uuid_of(offer.product_id if offer.type == "fixed" else offer.denomination_id)


def _resolve(snapshot: CatalogSnapshot, principal: Principal, code: str) -> tuple[Product | None, tuple[Offer, ...]]:
    """The product that a code means, and which of its offers; no product for a reserved one of the sandbox, no offers for nothing."""
    product = snapshot.product(id_of_uuid("prd", code) or "")
    if product is not None:
        return product, product.offers
    offer = snapshot.denomination(id_of_uuid("den", code) or "")
    if offer is not None:
        return snapshot.product(offer.product_id), (offer,)
    if behaviour_of(code, principal.mode) is not Behaviour.REAL:
        return None, (sandbox_offer(code, principal.currency),)
    return None, ()


def _offer_for(offers: Iterable[Offer], face: int) -> Offer | None:
    """The offer of a face value: one that is sold before one that is retired, a fixed one before a range."""
    fitting = [offer for offer in offers if _fits(offer, face)]
    if len(fitting) == 1:
        return fitting[0]
    return min(fitting, key=lambda offer: (not offer.is_sellable, offer.type != "fixed", offer.sku), default=None)


def _fits(offer: Offer, face: int) -> bool:
    if offer.type == "fixed":
        return offer.face_minor == face
    assert offer.min_minor is not None
    assert offer.max_minor is not None
    assert offer.step_minor is not None
    return offer.min_minor <= face <= offer.max_minor and not (face - offer.min_minor) % offer.step_minor
