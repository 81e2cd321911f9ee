"""The supplier's calls. Our reference is its ``ref`` and, in the second generation, its idempotency key; an order whose answer was lost is
found in its list by that reference, because the list has no filter for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from cardrail.kernel import Money, currency
from cardrail.sourcing.connector import (
    Accepted,
    BaseConnector,
    Capabilities,
    ConfigField,
    ConnectorKind,
    Delivered,
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
from cardrail.sourcing.connectors.starship.caller import Caller, code_of
from cardrail.sourcing.connectors.starship.hooks import StarshipHooks
from cardrail.sourcing.connectors.starship.mapping import (
    MAYBE_DUPLICATE,
    POLL_SECONDS,
    minor_of,
    moment_of,
    outcome_of,
    product_id_of,
    products_of,
    refusal_of,
)
from cardrail.sourcing.connectors.starship.wire import (
    ChargesIn,
    CountryIn,
    CurrencyIn,
    OrderIn,
    ProductIn,
    TransactionIn,
    WalletIn,
)
from cardrail.sourcing.errors import CredentialsRefused, InvalidSupplierConfig, OddAnswer, RateLimited, SupplierError

_PLACE_SECONDS: Final = 20.0
_PAGE: Final = 500
_ORDERS_PAGE: Final = 100
_PAGES_MAX: Final = 10_000
_LOOK_PAGES_MAX: Final = 50
SKEW: Final = timedelta(minutes=2)
"""How far the supplier's clock may be from ours."""


class StarshipSupplier(BaseConnector):
    """See the module's text."""

    capabilities = Capabilities(
        lookup=Lookup.BY_REFERENCE,
        has_catalog=True,
        has_price=True,
        has_balance=True,
        has_statement=True,
        call_seconds=60.0,
        settle_seconds=60.0,
        poll_seconds=5.0,
        poll_seconds_max=60.0,
    )

    def __init__(self, setup: Setup) -> None:
        self._caller = Caller(setup)
        self._currency = setup.currency
        self._wallet_id = _number(setup, "wallet_id")
        self._partial_is_final = str(setup.config.get("partial_is_final") or "no").lower() in ("yes", "true")
        self._currencies: dict[int, str] = {}
        self.capabilities = replace(type(self).capabilities, is_idempotent=self._caller.mode != "jwt")

    # --- buying -----------------------------------------------------------------------------------------------------------

    def place(self, request: PlaceRequest) -> Outcome:
        """Ask for a quote, then order."""
        try:
            objection = self._objection(request)
        except RateLimited:
            raise
        except CredentialsRefused as error:
            return Refused(f"we are not let in: {error.facts.get('given')}", RefusalKind.CLOSED)
        except SupplierError as error:  # nothing was ordered yet
            return Refused(f"there is no quote: {error.code}", RefusalKind.UNREACHABLE)
        if objection is not None:
            return objection
        body = self._wanted(request) | {"product_id": product_id_of(request.supplier_sku), "ref": request.reference}
        if request.fields:
            body["input_data"] = dict(request.fields)
        headers = {"idempotency-key": request.reference.ljust(8, "_")}
        answer = self._caller.send("POST", "/api/v1/orders", body, headers=headers, seconds=_PLACE_SECONDS)
        if answer.status == 200:
            try:
                return self._outcome(answer.json(OrderIn))
            except OddAnswer:
                return Unknown("a success that cannot be read")
        refusal = refusal_of(answer)
        if isinstance(refusal, Refused) and code_of(answer) in MAYBE_DUPLICATE:
            return self._after_duplicate(request.reference, refusal)
        return refusal

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        """The order of this id; or, without one, the order with our reference."""
        number = about.supplier_order_id
        if number is None:
            found = self._find(about.placed.reference, about.asked_at - SKEW)
            if found is None:
                return NotFound()
            number = str(found.id)
        answer = self._caller.send("GET", f"/api/v1/orders/{int(number)}")
        if answer.status == 404 and code_of(answer) == "NOT_FOUND":
            return NotFound()
        return self._outcome(Caller.data(answer, OrderIn))

    def _objection(self, request: PlaceRequest) -> Refused | None:
        """Why not to order: no quote for it, or one beyond what is allowed."""
        answer = self._charges(request.supplier_sku, self._wanted(request))
        if 400 <= answer.status < 500 and answer.status not in (401, 403):
            found = refusal_of(answer)
            return found if isinstance(found, Refused) else Refused(f"no quote: {answer.status}", RefusalKind.INVALID)
        quote = Caller.data(answer, ChargesIn)
        if minor_of(quote.total_payable, self._currency) > request.max_cost.minor:
            return Refused(f"it costs {quote.total_payable}", RefusalKind.PRICE)
        if quote.max_quantity is not None and request.quantity > quote.max_quantity:
            return Refused(f"at most {quote.max_quantity} at a time", RefusalKind.INVALID)
        return None

    def _after_duplicate(self, reference: str, refusal: Refused) -> Outcome:
        """The order that has our reference already, if one has; else the refusal."""
        try:
            found = self._find(reference, None)
            if found is None:
                return refusal
            return self._outcome(self._caller.get(f"/api/v1/orders/{found.id}", OrderIn))
        except SupplierError:
            return Unknown(f"{refusal.reason}, and its list cannot be looked at")

    def _outcome(self, order: OrderIn) -> Outcome:
        """How an order stands that exists: nothing that goes wrong here may look as if it did not."""
        if order.status.lower() == "delivered" and not order.units:  # documented: read it once more
            try:
                order = self._caller.get(f"/api/v1/orders/{order.id}", OrderIn)
            except SupplierError:
                return Accepted(str(order.id), POLL_SECONDS)
        found = outcome_of(order, None, partial_is_final=self._partial_is_final)
        return replace(found, cost=self._cost(order)) if isinstance(found, Delivered) else found

    def _cost(self, order: OrderIn) -> Money | None:
        """What the order's transaction took; None where that cannot be read now."""
        if order.transaction_id is None:
            return None
        try:
            found = self._caller.get(f"/api/v1/transactions/{order.transaction_id}", TransactionIn)
            return self._money(found.amount) if found.status.upper() == "COMPLETED" else None
        except SupplierError:
            return None

    def _find(self, reference: str, since: datetime | None) -> OrderIn | None:
        """The newest order with our reference, not before ``since``."""
        for one in self._orders(since, _LOOK_PAGES_MAX):
            if reference in (one.reference_code, one.ref):
                return one
        return None

    # --- looking ----------------------------------------------------------------------------------------------------------

    def catalog(self) -> Iterator[SupplierProduct]:
        """Every denomination of every product, page by page."""
        self._load_currencies()
        rows = self._caller.get("/api/v1/countries", list[CountryIn], {"limit": "10000"})
        countries = {one.id: one.code or one.alpha_2 for one in rows}
        for product in self._pages("/api/v1/products", list[ProductIn], _PAGE, _PAGES_MAX):
            code = self._currencies.get(product.currency_id)
            if code is not None:
                yield from products_of(product, code, countries.get(product.country_id), self._currency)

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        wanted: dict[str, Any] = {"denomination": Decimal(face.amount), "quantity": quantity}
        answer = self._charges(sku, wanted | self._wallet())
        return self._money(Caller.data(answer, ChargesIn).total_payable)

    def balance(self) -> Sequence[Money]:
        self._load_currencies()
        found = []
        for one in self._caller.get("/api/v1/wallets", list[WalletIn], {"limit": "1000"}):
            code = self._currencies.get(one.currency_id)
            if code is not None and self._wallet_id in (None, one.id):
                found.append(Money(minor_of(one.amount, code), currency(code)))
        return found

    def statement(self, since: datetime, until: datetime) -> Iterable[StatementLine]:
        """What moved our wallet in that time, oldest first; an order is known by its transaction."""
        self._load_currencies()
        orders = {one.transaction_id: one for one in self._orders(since - SKEW, _PAGES_MAX)}
        lines = []
        for one in self._pages("/api/v1/transactions", list[TransactionIn], _PAGE, _PAGES_MAX):
            at = moment_of(one.created_at)
            if at < since - SKEW:
                break
            if (
                since <= at < until
                and one.status.upper() == "COMPLETED"
                and self._currencies.get(one.currency_id) == self._currency
            ):
                lines.append(self._line(one, at, orders.get(one.id)))
        return lines[::-1]

    def close(self) -> None:
        self._caller.close()

    # --- inside -------------------------------------------------------------------------------------------------------------

    def _line(self, one: TransactionIn, at: datetime, order: OrderIn | None) -> StatementLine:
        amount = self._money(one.amount)
        if one.transaction_type.upper() == "CREDIT":
            return StatementLine(at, -amount, None, kind="other", note=one.remarks)
        if order is None:
            return StatementLine(at, amount, None, kind="other", note=one.remarks)
        return StatementLine(at, amount, str(order.id), reference=order.reference_code, note=one.remarks)

    def _charges(self, sku: str, wanted: Mapping[str, Any]) -> Any:
        return self._caller.send("POST", f"/api/v1/products/{product_id_of(sku)}/charges", wanted)

    def _wanted(self, request: PlaceRequest) -> dict[str, Any]:
        return {"denomination": Decimal(request.face.amount), "quantity": request.quantity} | self._wallet()

    def _wallet(self) -> dict[str, int]:
        return {} if self._wallet_id is None else {"wallet_id": self._wallet_id}

    def _orders(self, since: datetime | None, most: int) -> Iterator[OrderIn]:
        """Orders, newest first, back to ``since``."""
        for one in self._pages("/api/v1/orders", list[OrderIn], _ORDERS_PAGE, most):
            if since is not None and one.placed_at is not None and moment_of(one.placed_at) < since:
                return
            yield one

    def _pages(self, path: str, wire_type: Any, size: int, most: int) -> Iterator[Any]:
        """The rows of a list, page by page, until one is not full."""
        for page in range(1, most + 1):
            rows = self._caller.get(path, wire_type, {"page": str(page), "limit": str(size)})
            yield from rows
            if len(rows) < size:
                return
        raise OddAnswer(because="more pages than there can be")

    def _load_currencies(self) -> None:
        if not self._currencies:
            rows = self._caller.get("/api/v1/currencies", list[CurrencyIn], {"limit": "10000", "active_only": "false"})
            self._currencies = {one.id: code for one in rows if (code := one.code or one.currency)}

    def _money(self, amount: Decimal) -> Money:
        return Money(minor_of(amount, self._currency), currency(self._currency))


def _number(setup: Setup, name: str) -> int | None:
    given = setup.config.get(name)
    if given in (None, ""):
        return None
    if not str(given).isascii() or not str(given).isdigit():
        raise InvalidSupplierConfig(field=name, reason="a number")
    return int(str(given))


KIND: Final = ConnectorKind(
    "starship",
    "Starship, first or second generation",
    StarshipSupplier,
    (
        ConfigField("base_url", "Its address, without /api: https://api.starship.example"),
        ConfigField("auth_mode", "How it knows us: jwt, api_key or api_key_hmac.", is_required=False, default="jwt"),
        ConfigField("username", "For jwt.", is_required=False),
        ConfigField("password", "For jwt.", is_secret=True, is_required=False),
        ConfigField("api_key", "For api_key and api_key_hmac.", is_secret=True, is_required=False),
        ConfigField("api_secret", "For api_key and api_key_hmac.", is_secret=True, is_required=False),
        ConfigField("signing_secret", "For api_key_hmac.", is_secret=True, is_required=False),
        ConfigField("wallet_id", "The wallet that pays; the one in the product's currency otherwise.", is_required=False),
        ConfigField(
            "partial_is_final",
            "yes where a partly delivered order gets nothing more (another Cardrail); it is polled on otherwise.",
            is_required=False,
            default="no",
        ),
    ),
    StarshipHooks(),
)
