"""Buying from a supplier that speaks FoxReload V1.

Its idempotency key is a UUID made of our reference, so an order whose answer was lost is asked about by placing it again: the same key
and payload give the first answer, and a UUID that is made the same each time needs no place to be kept. The supplier remembers a key
for 24 hours (section 1.2), which is longer than we ask. An ``idempotency_conflict`` means that something was bought under the key: then
nothing is known, and a human decides. A state that is not known is "not yet", never "failed": a second purchase would follow (3.6).

A bad code is claimed by its place in the supplier's order, which is looked at first. The sheet has no call that shows a claim (2.2): where
the supplier answers GET on the claim's own path, as Cardrail's dialect does, that tells; else the order does, once another code stands in
the bad one's place. Our reference goes with the evidence, so that a claim whose answer was lost is known again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgspec

from cardrail.kernel import CardrailError, Money, PlainCode, currency
from cardrail.sourcing.connector import (
    Accepted,
    BaseConnector,
    Capabilities,
    ConfigField,
    ConnectorKind,
    Credited,
    Delivered,
    Lookup,
    LookupOutcome,
    LookupRequest,
    NotFound,
    Outcome,
    PlaceRequest,
    RefusalKind,
    Refused,
    ReplacementOutcome,
    ReplaceOutcome,
    ReplaceRequest,
    Setup,
    StatementLine,
    SupplierProduct,
    Unknown,
)
from cardrail.sourcing.connectors.foxreload_v1.hooks import FoxReloadHooks
from cardrail.sourcing.connectors.foxreload_v1.wire import (
    BalancesIn,
    CatalogIn,
    CodeIn,
    ErrorIn,
    InventoryIn,
    OrderIn,
    OrdersIn,
    ReplacementIn,
    ReplacementsIn,
    SkuIn,
)
from cardrail.sourcing.errors import (
    InvalidSupplierConfig,
    NotSent,
    NotSupported,
    OddAnswer,
    RateLimited,
    SupplierError,
)
from cardrail.sourcing.http import Answer, SupplierHttp, checked

CALL_SECONDS: Final = 30.0
"""The time-out of the vendor's own example (1.2)."""

PAGE: Final = "200"

PAGES_MAX: Final = 10_000
"""A supplier whose pages never end is not read for ever."""

REFUSALS: Final = {
    (402, "insufficient_funds"): RefusalKind.NO_FUNDS,
    (409, "out_of_stock"): RefusalKind.OUT_OF_STOCK,
    (404, "not_found"): RefusalKind.CLOSED,
    (400, "invalid_request"): RefusalKind.INVALID,
    (401, "unauthorized"): RefusalKind.BUSY,
    (403, "unauthorized"): RefusalKind.BUSY,
}
"""Answers that say that no order was made (1.2, 2.5). A key that is refused says nothing about the product."""

_TOPUP: Final = "recharge"


class FoxReloadV1Supplier(BaseConnector):
    """See the module's text."""

    capabilities = Capabilities(
        lookup=Lookup.NONE,
        is_idempotent=True,
        has_catalog=True,
        has_stock=True,
        has_price=True,
        has_balance=True,
        has_statement=True,
        delivers_topups=True,
        can_replace=True,
        tells_replacements=True,
        call_seconds=CALL_SECONDS,
    )

    def __init__(self, setup: Setup) -> None:
        base_url = setup.config.get("base_url")
        if not isinstance(base_url, str) or urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
            raise InvalidSupplierConfig(field="base_url", reason="an address that begins with https://")
        key = setup.secrets.get("api_key")
        if key is None:
            raise InvalidSupplierConfig(field="api_key", reason="it is required")
        self._unit = currency(setup.currency)
        headers = {"authorization": f"Bearer {key.reveal()}", "accept": "application/json"}
        self._http = SupplierHttp(base_url, seconds=CALL_SECONDS, headers=headers)

    # --- buying -----------------------------------------------------------------------------------------------------------

    def place(self, request: PlaceRequest) -> Outcome:
        order: dict[str, Any] = {
            "sku": request.supplier_sku,
            "quantity": request.quantity,
            "currency": self._unit.code,
            "reference": request.reference,
        }
        if request.fields:
            order["note"] = dict(request.fields)
        key = {"idempotency-key": key_of(request.reference)}
        answer = self._http.request("POST", "/v1/orders", json=order, headers=key)
        if answer.is_ok:
            return self._outcome(answer.json(OrderIn), request.quantity)
        return _refusal(answer)

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        if about.supplier_order_id is None:
            raise NotSupported(call="lookup")  # placing it again asks
        answer = self._http.request("GET", f"/v1/orders/{quote(about.supplier_order_id, safe='')}")
        if answer.status == 404 and _code(answer) == "not_found":
            return NotFound()
        return self._outcome(checked(answer).json(OrderIn), about.placed.quantity)

    def _outcome(self, order: OrderIn, quantity: int) -> Outcome:
        """What an order says."""
        if order.status == "delivered":
            codes = plain_codes(order)
            if not codes or len(codes) > quantity or not all(map(_is_full, codes)):
                return Unknown(f"delivered, and {len(codes)} codes for {quantity} units in the answer", order.order_id)
            return Delivered(codes, self._cost(order, len(codes)), order.order_id)
        if order.status == "failed":
            return Refused("the order failed", RefusalKind.FAILED, supplier_order_id=order.order_id)
        return Accepted(order.order_id, cost=self._cost(order, quantity))

    def _cost(self, order: OrderIn, count: int) -> Money | None:
        """What ``count`` units cost. It is not said whether ``wholesale_cost_usd`` is of one or of all: the unit price tells."""
        whole, unit = order.wholesale_cost_usd, order.unit_price_usd
        counted = unit * count if unit is not None else None
        known = [one for one in (whole, counted) if one is not None]
        return self._money(max(known)) if known else None

    # --- bad codes --------------------------------------------------------------------------------------------------------

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        order_id = request.supplier_order_id
        if order_id is None:
            return Refused("nobody knows in which of its orders the code came", RefusalKind.INVALID)
        try:
            codes = self._codes(order_id)
        except RateLimited:
            raise
        except SupplierError as error:  # it was only asked for the order: nothing is claimed yet
            raise NotSent(because=error.code) from None
        index = _index_of(request.code, codes)
        if index is None:
            return Refused("its order does not have this code", RefusalKind.INVALID)
        claim = {"reason": request.reason, "code_index": index, "evidence": _evidence(request)}
        path = f"/v1/orders/{quote(order_id, safe='')}/replacement"
        answer = self._http.request("POST", path, json=claim, headers={"idempotency-key": key_of(request.reference)})
        if answer.is_ok:
            return self._verdict(answer.json(ReplacementIn), index, request)
        if answer.status in (404, 409) and _code(answer) in ("not_found", "replacement_not_allowed"):
            return Refused(_code(answer), RefusalKind.INVALID)
        if answer.status == 400 and _code(answer) == "invalid_request":
            return Refused("invalid_request", RefusalKind.INVALID)
        return Unknown(f"answered {answer.status}")

    def replacement(self, about: ReplaceRequest, claim_id: str | None) -> ReplacementOutcome:
        order_id = about.supplier_order_id
        if order_id is None:
            return Unknown("its order is not known")
        told, _, wanted = (claim_id or "").partition(":")
        index = int(told) if told.isdigit() else None
        answer = self._http.request("GET", f"/v1/orders/{quote(order_id, safe='')}/replacement")
        if answer.status in (404, 405, 501):
            return self._by_order(about, index, claim_id)
        claims = checked(answer).json(ReplacementsIn).data
        for one in claims:
            if one.replacement_id == wanted or (claim_id is None and about.reference in (one.evidence or "")):
                return self._verdict(one, index if one.code_index is None else one.code_index, about)
        if claim_id is None and any(one.evidence is None for one in claims):
            return Unknown("a claim of its list does not repeat what was sent: it may be ours")
        return NotFound() if claim_id is None else Accepted(claim_id)

    def _verdict(self, one: ReplacementIn, index: int | None, request: ReplaceRequest) -> ReplaceOutcome:
        """What a claim says. A status that is not known is "not yet"."""
        claim_id = f"{'' if index is None else index}:{one.replacement_id}"
        if one.status == "denied":
            return Refused(one.reason or "denied", RefusalKind.INVALID, supplier_order_id=claim_id)
        if one.status == "refunded":
            return Credited(None if one.amount_usd is None else self._money(one.amount_usd))
        codes = tuple([PlainCode(code.code, code.pin, None, code.url) for code in one.codes or () if code.code or code.url])
        if one.status == "approved" and codes:
            return Delivered(codes, None, claim_id)
        if one.status == "approved" and isinstance(found := self._by_order(request, index, claim_id), Delivered):
            return found
        return Accepted(claim_id)

    def _by_order(self, about: ReplaceRequest, index: int | None, claim_id: str | None) -> Delivered | Accepted | Unknown:
        """What the order itself tells: another code in the bad one's place. While the bad one stands there, nothing is decided."""
        codes = self._codes(about.supplier_order_id or "")
        if index is not None and index < len(codes) and _is_full(codes[index]) and _index_of(about.code, codes) != index:
            return Delivered((codes[index],), None, claim_id)
        return Unknown("its order does not tell") if claim_id is None else Accepted(claim_id)

    def _codes(self, order_id: str) -> tuple[PlainCode, ...]:
        return plain_codes(checked(self._http.request("GET", f"/v1/orders/{quote(order_id, safe='')}")).json(OrderIn))

    # --- what it tells ----------------------------------------------------------------------------------------------------

    def catalog(self) -> Iterable[SupplierProduct]:
        for page in self._pages("/v1/catalog", CatalogIn):
            for one in page.data:
                product = self._product(one)
                if product is not None:
                    yield product

    def _product(self, one: SkuIn) -> SupplierProduct | None:
        """A sku; None where its face value cannot be counted."""
        if one.face_value is None or one.face_currency is None:
            return None
        try:
            face = Money.parse(format(one.face_value, "f"), one.face_currency)
        except CardrailError:
            return None
        region = one.region or ""
        return SupplierProduct(
            sku=one.sku_id,
            name=one.name or one.sku_id,
            currency=face.currency.code,
            face_minor=face.minor,
            cost=self._money(one.wholesale_cost_usd) if one.wholesale_cost_usd is not None else None,
            category=one.category,
            kind="topup" if one.category == _TOPUP else "code",
            countries=tuple([part for part in region.split("+") if len(part) == 2 and part.isalpha() and part.isupper()]),
            stock=one.stock,
            is_available=one.in_stock,
        )

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        wanted = set(skus)
        found = checked(self._http.request("GET", "/v1/catalog/inventory")).json(InventoryIn)
        return {one.sku_id: one.stock for one in found.items if one.sku_id in wanted}

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        found = checked(self._http.request("GET", f"/v1/catalog/{quote(sku, safe='')}")).json(SkuIn)
        if found.wholesale_cost_usd is None:
            raise OddAnswer(because="no price")
        return self._money(found.wholesale_cost_usd * quantity)

    def balance(self) -> Sequence[Money]:
        found = checked(self._http.request("GET", "/v1/balance")).json(BalancesIn)
        return [_money(one.available, one.currency) for one in found.balances]

    def statement(self, since: datetime, until: datetime) -> Iterable[StatementLine]:
        period = {"from": _moment(since), "to": _moment(until)}
        orders = [one for page in self._pages("/v1/orders", OrdersIn, period) for one in page.data]
        for one in reversed(orders):
            cost = self._cost(one, one.quantity or 0) if one.status == "delivered" else None
            if cost is not None and cost.minor and one.created_at is not None:
                yield StatementLine(_read_moment(one.created_at), cost, one.order_id, one.reference)

    def close(self) -> None:
        self._http.close()

    def _pages(self, path: str, wanted: Any, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        """Each page. Raises OddAnswer where a cursor leads in a circle."""
        asked, seen = {"limit": PAGE, **(query or {})}, set[str]()
        for _ in range(PAGES_MAX):
            page = checked(self._http.request("GET", path, params=asked)).json(wanted)
            yield page
            if page.next_cursor is None:
                return
            if page.next_cursor in seen:
                break
            seen.add(page.next_cursor)
            asked["cursor"] = page.next_cursor
        raise OddAnswer(because="its pages do not end")

    def _money(self, amount: Decimal) -> Money:
        return _money(amount, self._unit.code)


def key_of(reference: str) -> str:
    """The idempotency key of a reference: in the form of a UUID version 4 (1.2), always the same one."""
    return str(UUID(bytes=hashlib.blake2b(reference.encode(), digest_size=16).digest(), version=4))


def _index_of(code: PlainCode, codes: Sequence[PlainCode]) -> int | None:
    """Where in the order's codes this one is."""
    wanted = (code.code or code.url, code.pin)
    return next((index for index, one in enumerate(codes) if (one.code or one.url, one.pin) == wanted), None)


def _is_full(one: PlainCode) -> bool:
    return bool(one.code or one.url)


def _evidence(request: ReplaceRequest) -> str:
    """What the partner gave, cut to what fits, and our reference."""
    return "\n".join([*([request.evidence[:3_900]] if request.evidence else []), f"claim {request.reference}"])


def plain_codes(order: OrderIn) -> tuple[PlainCode, ...]:
    """The codes of a delivered order: of the list, else of the one object, or of whatever that is instead (A5, A14).

    A place of the list that holds nothing is one all the same: its code may still be shown, and the others keep their numbers.
    """
    if order.codes and any(one.code or one.url for one in order.codes):
        return tuple([PlainCode(one.code, one.pin, None, one.url) for one in order.codes])
    data = order.delivery_data
    if isinstance(data, str) and data:
        return (PlainCode(data),)
    try:
        one = msgspec.convert(data, CodeIn)
    except msgspec.ValidationError:
        return ()
    return (PlainCode(one.code, one.pin, None, one.url),) if one.code or one.url else ()


def _refusal(answer: Answer) -> Outcome:
    """A ``place`` that was not taken. Only a documented no is a no."""
    if not 400 <= answer.status < 500:
        return Unknown(f"answered {answer.status}")
    code = _code(answer)
    kind = REFUSALS.get((answer.status, code))
    if kind is not None:
        return Refused(code, kind)
    if code == "idempotency_conflict":
        return Unknown("the key is known with another request: look at the supplier")
    return Unknown(f"answered {answer.status}")


def _code(answer: Answer) -> str:
    try:
        return str(answer.json(ErrorIn).error)
    except OddAnswer:
        return ""


def _money(amount: Decimal, code: str) -> Money:
    """An amount, rounded half up to what the currency counts. Raises OddAnswer."""
    try:
        unit = currency(code)
        rounded = amount.quantize(Decimal(1).scaleb(-unit.digits), ROUND_HALF_UP)
        return Money.parse(format(rounded, "f"), unit)
    except (CardrailError, ArithmeticError):
        raise OddAnswer(because="an amount that cannot be counted") from None


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _read_moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise OddAnswer(because="a time that cannot be read") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


KIND: Final = ConnectorKind(
    "foxreload_v1",
    "FoxReload V1, or whoever speaks its protocol",
    FoxReloadV1Supplier,
    (
        ConfigField("base_url", "The address before /v1, for example https://api.supplier.example."),
        ConfigField("api_key", "The bearer key.", is_secret=True),
    ),
    FoxReloadHooks(),
)
