"""Buying from a supplier that speaks FoxReload's public API.

An order is created, which costs nothing, and then paid, which buys. So an answer that was lost while creating is looked for among our
orders at once, and exactly one order is paid; nothing is created a second time. An answer that was lost while paying is unknown, and the
order's id is known: it is asked about until it is final, or its time to be paid is over. The supplier keeps no reference of ours that
it could be asked for (section 5.6); ``idempotencyKey`` is sent, and not relied upon (7, A8).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlsplit

from cardrail.kernel import Clock, Mode, Money, SystemClock, currency
from cardrail.sourcing.connector import (
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
from cardrail.sourcing.connectors.foxreload_public.mapping import (
    AMOUNT,
    RECEIVED,
    STOPPED,
    code_of,
    is_like,
    items_of,
    moment_of,
    money,
    outcome_of,
    product_of,
    refusal_of,
)
from cardrail.sourcing.connectors.foxreload_public.wire import BalanceIn, OrderIn, OrdersIn, ProductIn, ProductsIn
from cardrail.sourcing.errors import InvalidSupplierConfig, NotSent, OddAnswer, RateLimited, SupplierError
from cardrail.sourcing.http import SupplierHttp, checked

CALL_SECONDS: Final = 60.0
STEP_SECONDS: Final = 12.0
"""One of the requests of a purchase."""
PAYABLE_SECONDS: Final = 30.0
"""An order is not paid later than this after ``place`` began: what comes later may have been given up by the core."""

BEFORE: Final = timedelta(seconds=5)
AFTER: Final = timedelta(seconds=CALL_SECONDS + 60)
"""Where an order of ours was made, as seen by the supplier's clock (5.6)."""

PAGE: Final = 200
PAGES_MAX: Final = 10_000


class FoxReloadPublicSupplier(BaseConnector):
    """See the module's text."""

    capabilities = Capabilities(
        lookup=Lookup.BY_MATCH,
        has_catalog=True,
        has_stock=True,
        has_price=True,
        has_balance=True,
        has_statement=True,
        delivers_topups=True,
        obeys_max_cost=True,
        call_seconds=CALL_SECONDS,
        poll_seconds=5.0,
        poll_seconds_max=30.0,
    )

    def __init__(self, setup: Setup, clock: Clock | None = None) -> None:
        base_url = setup.config.get("base_url")
        if not isinstance(base_url, str) or urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
            raise InvalidSupplierConfig(field="base_url", reason="an address that begins with https://")
        key = setup.secrets.get("api_key")
        if key is None:
            raise InvalidSupplierConfig(field="api_key", reason="it is required")
        self._unit = currency(setup.currency)
        self._is_mock = setup.mode is Mode.TEST
        self._clock = clock or SystemClock()
        headers = {"x-api-key": key.reveal(), "accept": "application/json", "x-currency": self._unit.code.lower()}
        self._http = SupplierHttp(base_url, seconds=STEP_SECONDS, headers=headers)

    # --- buying -----------------------------------------------------------------------------------------------------------

    def place(self, request: PlaceRequest) -> Outcome:
        began, started = self._clock.now(), time.monotonic()
        try:
            items = items_of(request)
        except ValueError:
            return Refused("it is ordered by whole amounts", RefusalKind.INVALID)
        try:
            priced = self._priced(request, items)
        except (NotSent, RateLimited):
            raise
        except SupplierError as error:  # nothing was ordered yet
            return Refused(f"its price could not be looked at: {error.code}", RefusalKind.UNREACHABLE)
        if isinstance(priced, Refused):
            return priced
        order = self._create(request, items, priced, began)
        if not isinstance(order, OrderIn):
            return order
        if time.monotonic() - started > PAYABLE_SECONDS or self._clock.now() - began > timedelta(seconds=PAYABLE_SECONDS):
            return Refused("it was created too late to be paid", RefusalKind.BUSY, supplier_order_id=order.id)
        return self._pay(request, order)

    def _priced(self, request: PlaceRequest, items: list[dict[str, Any]]) -> str | Refused:
        """What an item costs now (5.5, 5.7: re-read before an order), or why not to order."""
        answer = self._http.request("GET", f"/products/{quote(items[0]['itemId'], safe='')}")
        if answer.status != 200:
            return refusal_of(answer) or Refused(f"the product cannot be read: {answer.status}", RefusalKind.BUSY)
        product = answer.json(ProductIn)
        if product.price is None or product.currency is None or product.currency.upper() != self._unit.code:
            return Refused("it has no price in our currency", RefusalKind.CLOSED)
        if product.quantity is not None and product.quantity < (1 if request.supplier_sku.endswith(AMOUNT) else request.quantity):
            return Refused(f"{product.quantity} in stock", RefusalKind.OUT_OF_STOCK)
        each = money(product.price * items[0]["quantity"], self._unit.code)
        if each.minor * len(items) > request.max_cost.minor:
            return Refused(f"it costs {each.amount} an item", RefusalKind.PRICE)
        return each.amount

    def _create(self, request: PlaceRequest, items: list[dict[str, Any]], each: str, began: datetime) -> OrderIn | Outcome:
        """The order, not paid; or why there is none, or why nobody knows."""
        body: dict[str, Any] = {
            "items": [{**one, "totalPrice": each} for one in items],
            "isMock": self._is_mock,
            "idempotencyKey": request.reference,
        }
        try:
            answer = self._http.request("POST", "/orders/", json=body)
            if answer.is_ok:
                made: OrderIn = answer.json(OrderIn)
                return made
            refused = refusal_of(answer)
            if refused is not None:
                return refused
            why = code_of(answer) or f"answered {answer.status}"
        except (NotSent, RateLimited):
            raise
        except SupplierError as lost:
            why = lost.code
        return self._found_unpaid(items, began, why)

    def _found_unpaid(self, items: list[dict[str, Any]], began: datetime, why: str) -> OrderIn | Unknown:
        """The one order that was made by a creation whose answer was lost; it has not been paid, because nobody knew its id."""
        try:
            fitting = [one for one in self._ours(items, began) if one.status == "active"]
        except SupplierError:
            fitting = []
        return fitting[0] if len(fitting) == 1 else Unknown(f"creating it: {why}")

    def _pay(self, request: PlaceRequest, order: OrderIn) -> Outcome:
        """Pay from the balance, and see what came. Nothing that goes wrong from here on may look as if it did not happen."""
        try:
            answer = self._http.request("POST", f"/orders/{quote(order.id, safe='')}/pay", json={"paymentProvider": None})
        except (NotSent, RateLimited):
            raise  # certain: it is not paid
        except SupplierError as lost:
            return Unknown(f"paying it: {lost.code}", order.id)
        if not answer.is_ok:
            code = code_of(answer)
            if code == "ORDER_PAYMENT_NOT_POSSIBLE":
                return self._seen(request, order.id, is_refused=True)
            refused = refusal_of(answer)
            if refused is None:
                return Unknown(f"paying it: answered {answer.status}", order.id)
            return Refused(refused.reason, refused.kind, supplier_order_id=order.id)
        return self._seen(request, order.id)

    def _seen(self, request: PlaceRequest, order_id: str, *, is_refused: bool = False) -> Outcome:
        """How an order stands right after it was paid, or its payment was refused."""
        try:
            order = self._order(order_id)
        except SupplierError as lost:
            return Unknown(f"paid, and not seen since: {lost.code}", order_id)
        if is_refused and order.status == "active":
            return Refused("its payment is not possible", RefusalKind.FAILED, supplier_order_id=order_id)
        return outcome_of(order, request, self._clock.now())

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        if about.supplier_order_id is not None:
            answer = self._http.request("GET", f"/orders/{quote(about.supplier_order_id, safe='')}")
            if answer.status == 404:
                return NotFound()
            return outcome_of(checked(answer).json(OrderIn), about.placed, self._clock.now())
        try:
            items = items_of(about.placed)
        except ValueError:
            return NotFound()  # it was never sent
        fitting = [one for one in self._ours(items, about.asked_at) if one.id not in about.known_order_ids]
        if not fitting:
            return NotFound()
        alive = [one for one in fitting if one.status not in STOPPED]
        if not alive:
            return Refused(f"the order was {fitting[0].status}", RefusalKind.FAILED, supplier_order_id=fitting[0].id)
        if len(alive) > 1:
            return Unknown(f"{len(alive)} orders fit")
        order = alive[0]
        if order.status == "completed" or order.status in RECEIVED:  # a list need not show codes
            order = self._order(order.id)
        return outcome_of(order, about.placed, self._clock.now())

    def _ours(self, items: list[dict[str, Any]], asked_at: datetime) -> list[OrderIn]:
        """Orders with these items that were made about then."""
        found = []
        for one in self._orders(asked_at - BEFORE):
            made = moment_of(one.created_at)
            if made is not None and made <= asked_at + AFTER and is_like(one, items, is_mock=self._is_mock):
                found.append(one)
        return found

    def _order(self, order_id: str) -> OrderIn:
        found: OrderIn = checked(self._http.request("GET", f"/orders/{quote(order_id, safe='')}")).json(OrderIn)
        return found

    def _orders(self, since: datetime, until: datetime | None = None) -> Iterator[OrderIn]:
        """Orders made from then on, newest first. What the supplier does not narrow is narrowed here."""
        asked = {"limit": str(PAGE), "createdFrom": _moment(since)} | ({"createdTo": _moment(until)} if until is not None else {})
        for page in range(PAGES_MAX):
            found = (
                checked(self._http.request("GET", "/orders/", params=asked | {"offset": str(page * PAGE)})).json(OrdersIn).items
            )
            for one in found:
                made = moment_of(one.created_at)
                if made is not None and made < since.replace(microsecond=0):
                    return
                if until is None or made is None or made < until:
                    yield one
            if len(found) < PAGE:
                return
        raise OddAnswer(because="its pages do not end")

    # --- what it tells ----------------------------------------------------------------------------------------------------

    def catalog(self) -> Iterable[SupplierProduct]:
        asked, seen = {"includeDescendants": "true", "limit": str(PAGE)}, set[str]()
        for _ in range(PAGES_MAX):
            page = checked(self._http.request("GET", "/products/", params=asked)).json(ProductsIn)
            for one in page.items:
                product = product_of(one)
                if product is not None:
                    yield product
            if not page.next_cursor:
                return
            if page.next_cursor in seen:
                break
            seen.add(page.next_cursor)
            asked["cursor"] = page.next_cursor
        raise OddAnswer(because="its pages do not end")

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        found = {}
        for sku in skus:
            answer = self._http.request("GET", f"/products/{quote(sku.removesuffix(AMOUNT), safe='')}")
            quantity = 0 if answer.status == 404 else checked(answer).json(ProductIn).quantity
            if quantity is not None:
                found[sku] = quantity
        return found

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        product = checked(self._http.request("GET", f"/products/{quote(sku.removesuffix(AMOUNT), safe='')}")).json(ProductIn)
        if product.price is None or product.currency is None:
            raise OddAnswer(because="no price")
        units = Decimal(face.amount) if sku.endswith(AMOUNT) else Decimal(1)
        each = money(product.price * units, product.currency)
        return Money(each.minor * quantity, each.currency)

    def balance(self) -> Sequence[Money]:
        found = checked(self._http.request("GET", "/access/me/balances/")).json(list[BalanceIn])
        amounts = [(one.available, one.amount, one.balance, one.currency) for one in found]
        return [
            money(next((one for one in known if one is not None), Decimal(0)), code) for *known, code in amounts
        ]  # available, else amount, else balance

    def statement(self, since: datetime, until: datetime) -> Iterable[StatementLine]:
        orders = [one for one in self._orders(since, until) if one.status == "completed" and not one.is_mock]
        for one in reversed(orders):
            made = moment_of(one.created_at)
            if made is not None and one.price and one.currency:
                yield StatementLine(made, money(one.price, one.currency), one.id)

    def close(self) -> None:
        self._http.close()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


KIND: Final = ConnectorKind(
    "foxreload_public",
    "FoxReload's public API, or whoever speaks it",
    FoxReloadPublicSupplier,
    (
        ConfigField("base_url", "The address up to /api, for example https://public-api.supplier.example/api."),
        ConfigField("api_key", "What is sent as X-API-Key.", is_secret=True),
    ),
)
