"""The supplier's calls. It keeps no reference of ours, so an order whose answer was lost is looked up by match: in its list, by product,
type, quantity and time. ``placeOrder`` is sent once, and never again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from cardrail.kernel import InvalidAmount, Mode, Money
from cardrail.sourcing.connector import (
    Accepted,
    BaseConnector,
    Capabilities,
    ConfigField,
    ConnectorKind,
    Lookup,
    LookupOutcome,
    LookupRequest,
    NotFound,
    Outcome,
    PlaceRequest,
    RefusalKind,
    Refused,
    Setup,
    StatementLine,
    SupplierProduct,
    Unknown,
)
from cardrail.sourcing.connectors.oneclickdz.mapping import (
    code_of,
    ids_of,
    moment_of,
    money_of,
    outcome_of,
    product_of,
    refusal,
    refusal_of,
    sku_of,
)
from cardrail.sourcing.connectors.oneclickdz.wire import (
    BalanceIn,
    CatalogIn,
    CheckedProductIn,
    EnvelopeIn,
    OrderIn,
    OrdersIn,
    PlacedIn,
    SuccessIn,
    TransactionIn,
    TransactionsIn,
    TypeIn,
    ValidatedIn,
)
from cardrail.sourcing.errors import CredentialsRefused, InvalidSupplierConfig, OddAnswer, RateLimited, SupplierError
from cardrail.sourcing.http import Answer, SupplierHttp

W = TypeVar("W")

_GIFT_CARDS: Final = "v3/gift-cards"
_SECONDS: Final = 10.0
"""Of each call; a purchase makes four of them at most."""
_PAGE_SIZE: Final = 100
_PAGES_MAX: Final = 10_000
_MATCH_PAGES_MAX: Final = 20
_WAIT_SECONDS_MAX: Final = 61.0
"""Longer than a minute's limit lasts."""

SKEW: Final = timedelta(seconds=60)
"""How far the supplier's clock may be from ours."""
LATE: Final = timedelta(minutes=10)
"""How long after we asked an order of ours may have been made at the latest."""

_KEY_TYPES: Final = {Mode.LIVE: "PRODUCTION", Mode.TEST: "SANDBOX"}


class OneClickDzSupplier(BaseConnector):
    """See the module's text."""

    capabilities = Capabilities(
        lookup=Lookup.BY_MATCH,
        has_catalog=True,
        has_stock=True,
        has_price=True,
        has_balance=True,
        has_statement=True,
        call_seconds=45.0,
        settle_seconds=60.0,
        poll_seconds=5.0,
        poll_seconds_max=30.0,
    )

    def __init__(self, setup: Setup, *, sleep: Callable[[float], None] = time.sleep) -> None:
        base_url, key = setup.config.get("base_url"), setup.secrets.get("api_key")
        if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
            raise InvalidSupplierConfig(field="base_url", reason="an address that begins with https://")
        if key is None or not key.reveal().isascii() or not key.reveal().isprintable():
            raise InvalidSupplierConfig(field="api_key", reason="it is required")
        self._mode = setup.mode
        self._currency = setup.currency
        self._http = SupplierHttp(
            base_url, seconds=_SECONDS, headers={"x-access-token": key.reveal(), "accept": "application/json"}
        )
        self._sleep = sleep
        self._is_key_checked = False
        self._guard = threading.Lock()

    # --- buying -----------------------------------------------------------------------------------------------------------

    def place(self, request: PlaceRequest) -> Outcome:
        """Look at price and stock, order, and look once what came of it: most orders that come from stock are final by then."""
        product_id, type_id = ids_of(request.supplier_sku)
        try:
            objection = self._objection(product_id, type_id, request)
        except RateLimited:
            raise
        except CredentialsRefused as error:
            return refusal(str(error.facts["given"]), 401)
        except SupplierError as error:  # nothing was ordered yet
            return Refused(f"price and stock could not be looked at: {error.code}", RefusalKind.UNREACHABLE)
        if objection is not None:
            return objection
        body = {"productId": product_id, "typeId": type_id, "quantity": request.quantity}
        answer = self._http.request("POST", f"{_GIFT_CARDS}/placeOrder", json=body)
        if not answer.is_ok:
            return refusal_of(answer)
        try:
            order_id = self._data(answer, PlacedIn).order_id
        except OddAnswer:
            return Unknown("a success without an order's id")
        return self._first_look(order_id)

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        """The order of this id; or, without one, the order that could be ours."""
        if about.supplier_order_id is not None:
            found = self._order(about.supplier_order_id)
            return NotFound() if found is None else outcome_of(found, self._currency)
        matches = self._matches(about)
        if len(matches) > 1:
            return Unknown(f"{len(matches)} orders could be this one: {', '.join([one.id[:32] for one in matches[:5]])}")
        return outcome_of(matches[0], self._currency) if matches else NotFound()

    def _objection(self, product_id: str, type_id: str, request: PlaceRequest) -> Refused | None:
        """Why not to order: another environment's key, a price beyond what is allowed, nothing in stock."""
        if not self._is_key_checked:
            kind = self._get("v3/validate", ValidatedIn).api_key.type
            if kind != _KEY_TYPES[self._mode]:
                return Refused(f"the key is for {kind[:16]}, and this supplier is {self._mode.value}", RefusalKind.CLOSED)
            self._is_key_checked = True
        found = next((one for one in self._types(product_id) if one.id == type_id), None)
        if found is None or found.price <= 0:
            return Refused("the product is not sold", RefusalKind.CLOSED)
        if found.quantity <= 0:
            return Refused("sold out", RefusalKind.OUT_OF_STOCK)
        if self._money(found.price * request.quantity).minor > request.max_cost.minor:
            return Refused(f"it costs {found.price} each", RefusalKind.PRICE)
        return None

    def _first_look(self, order_id: str) -> Outcome:
        """How the new order stands. It exists, so nothing that goes wrong here may look like a refusal."""
        try:
            found = self._order(order_id)
        except SupplierError:
            found = None
        return Accepted(order_id) if found is None else outcome_of(found, self._currency)

    def _order(self, order_id: str) -> OrderIn | None:
        answer = self._http.request("GET", f"{_GIFT_CARDS}/checkOrder/{quote(order_id, safe='')}")
        if answer.status == 404 and code_of(answer) == "NOT_FOUND":
            return None
        return self._data(answer, OrderIn)

    def _matches(self, about: LookupRequest) -> list[OrderIn]:
        """Orders of this product, type and quantity from that time that belong to no other attempt of ours."""
        placed = about.placed
        product_id, type_id = ids_of(placed.supplier_sku)
        wanted = (product_id, type_id, placed.quantity)
        since, until = about.asked_at - SKEW, about.asked_at + LATE
        found = []
        for one in self._pages(f"{_GIFT_CARDS}/list", OrdersIn, since, until, _MATCH_PAGES_MAX):
            moment = moment_of(one.time)
            is_then = moment is not None and since <= moment <= until
            if is_then and (one.product, one.type, one.quantity) == wanted and one.id not in about.known_order_ids:
                found.append(one)
        return found

    # --- looking ----------------------------------------------------------------------------------------------------------

    def catalog(self) -> Iterator[SupplierProduct]:
        """All types of all products, product by product; it waits where the supplier's limit of requests is reached."""
        for category in self._get(f"{_GIFT_CARDS}/catalog", CatalogIn).categories:
            for product in category.products:
                for kind in self._patiently(partial(self._types, product.id)):
                    yield product_of(product, kind, category.title or category.name, self._currency)

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        wanted = set(skus)
        found = {}
        for product_id in sorted({ids_of(sku)[0] for sku in skus}):
            for kind in self._patiently(partial(self._types, product_id)):
                if sku_of(product_id, kind.id) in wanted:
                    found[sku_of(product_id, kind.id)] = kind.quantity
        return found

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        product_id, type_id = ids_of(sku)
        found = next((one for one in self._types(product_id) if one.id == type_id), None)
        if found is None or found.price <= 0:
            raise OddAnswer(because="the product is not sold")
        return self._money(found.price * quantity)

    def balance(self) -> Sequence[Money]:
        return [self._money(self._get("v3/account/balance", BalanceIn).balance)]

    def statement(self, since: datetime, until: datetime) -> Iterable[StatementLine]:
        """The supplier's ledger of that time. It comes newest first, and is turned round."""
        rows = self._pages("v3/account/transactions", TransactionsIn, since, until, _PAGES_MAX, is_patient=True)
        lines = [self._line(one) for one in rows]
        return [one for one in reversed(lines) if since <= one.at < until]

    def close(self) -> None:
        self._http.close()

    def _line(self, one: TransactionIn) -> StatementLine:
        at = moment_of(one.time)
        if at is None:
            raise OddAnswer(because="a transaction without a time")
        if one.type == "ORDER":
            return StatementLine(at, self._money(one.amount), one.objid, kind="order", note=one.note or None)
        if one.type == "REFUND-ORDER":
            return StatementLine(at, self._money(-one.amount), one.objid, kind="refund", note=one.note or None)
        sign = -1 if one.type in _MONEY_IN else 1
        return StatementLine(at, self._money(sign * one.amount), None, kind="topup" if sign < 0 else "other", note=one.type)

    def _types(self, product_id: str) -> list[TypeIn]:
        """A product's types; none where the supplier knows no such product."""
        answer = self._http.request("GET", f"{_GIFT_CARDS}/checkProduct/{quote(product_id, safe='')}")
        if answer.status == 404 and code_of(answer) is not None:
            return []
        return self._data(answer, CheckedProductIn).types

    def _pages(
        self, path: str, wire_type: Any, since: datetime, until: datetime, most: int, *, is_patient: bool = False
    ) -> Iterator[Any]:
        """The rows of a list, newest first, page by page. Raises RateLimited unless it may wait: who looks for an order looks later."""
        for page in range(1, most + 1):
            query = {"page": str(page), "pageSize": str(_PAGE_SIZE), "from": since.isoformat(), "to": until.isoformat()}
            look = partial(self._get, path, wire_type, query)
            found = self._patiently(look) if is_patient else look()
            yield from found.items
            if page >= found.pagination.total_pages:
                return
        raise OddAnswer(because="more pages than there can be")

    def _patiently(self, look: Callable[[], W]) -> W:
        """A look, once more after a wait where there were too many in this minute. Never for an order."""
        try:
            return look()
        except RateLimited as error:
            given = error.facts.get("retry_after_seconds")
            self._sleep(min(float(given), _WAIT_SECONDS_MAX) if isinstance(given, (int, float)) else _WAIT_SECONDS_MAX)
            return look()

    # --- the wire ---------------------------------------------------------------------------------------------------------

    def _get(self, path: str, wire_type: type[W], query: Mapping[str, str] | None = None) -> W:
        return self._data(self._http.request("GET", path, params=query), wire_type)

    def _data(self, answer: Answer, wire_type: type[W]) -> W:
        """The data of a success. Raises CredentialsRefused, OddAnswer."""
        code = code_of(answer)
        if answer.status in (401, 403) and code is not None:  # a page of somebody in between says nothing about us
            raise CredentialsRefused(given=code)
        envelope = answer.json(EnvelopeIn) if answer.is_ok else None
        if envelope is None or not envelope.success:
            raise OddAnswer(status=answer.status, given=code)
        try:
            return msgspec.json.decode(answer.body, type=SuccessIn[wire_type]).data  # type: ignore[valid-type]  # made at run time
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise OddAnswer(status=answer.status, bytes=len(answer.body)) from None

    def _money(self, amount: Decimal) -> Money:
        try:
            return money_of(amount, self._currency)
        except InvalidAmount:
            raise OddAnswer(because="an amount with too many digits") from None


_MONEY_IN: Final = frozenset({"DEPOSIT", "REFUND-FLEXY", "REFUND-ADSL", "RECEIVE", "POINT-EXCHANGE"})
"""2.4, besides REFUND-ORDER."""

KIND: Final = ConnectorKind(
    "oneclickdz",
    "OneClickDz Flexy API v3, gift cards",
    OneClickDzSupplier,
    (
        ConfigField("base_url", "Its address, without /v3."),
        ConfigField(
            "api_key", "The access token: a PRODUCTION key for a live supplier, a SANDBOX key for a test one.", is_secret=True
        ),
    ),
)
