"""Acme's cards (PAGE.md): a connector written to docs/guides/add-a-connector.md, whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct

from cardrail import sourcing as on
from cardrail.kernel import Money, PlainCode, currency

T = TypeVar("T")


class PageIn(Struct, Generic[T]):
    items: list[T]
    pages: int = 1


class OrderIn(Struct):
    id: str
    state: str
    count: int
    paid: str = "0"
    cards: list[dict[str, str]] = []  # msgspec copies it


class ProductIn(Struct):
    sku: str
    title: str
    brand: str
    country: str
    face: dict[str, str]
    price: str
    stock: int
    on_sale: bool


class LineIn(Struct):
    at: str
    type: str
    amount: str
    order_id: str | None = None
    ref: str | None = None


class ErrorIn(Struct):
    error: dict[str, str]


REFUSALS: Final = {
    "BAD_FIELD": on.RefusalKind.INVALID,
    "BAD_KEY": on.RefusalKind.BUSY,
    "LOW_BALANCE": on.RefusalKind.NO_FUNDS,
    "NO_SUCH_SKU": on.RefusalKind.CLOSED,
    "OUT_OF_STOCK": on.RefusalKind.OUT_OF_STOCK,
    "PRICE_CHANGED": on.RefusalKind.PRICE,
}
KINDS: Final = {"sale": "order", "refund": "refund", "deposit": "topup"}


class Acme(on.BaseConnector):
    """It keeps our reference, and a repeat of it makes no second order."""

    capabilities = on.Capabilities(
        lookup=on.Lookup.BY_REFERENCE,
        is_idempotent=True,
        has_catalog=True,
        has_balance=True,
        has_statement=True,
        poll_seconds=5.0,
    )

    def __init__(self, setup: on.Setup) -> None:
        if "api_key" not in setup.secrets or not str(setup.config.get("base_url")).startswith("http"):
            raise on.InvalidSupplierConfig(reason="base_url and api_key")
        self._unit = currency(setup.currency)
        self._http = on.SupplierHttp(str(setup.config["base_url"]), headers={"x-api-key": setup.secrets["api_key"].reveal()})

    def place(self, request: on.PlaceRequest) -> on.Outcome:
        body: dict[str, Any] = {"sku": request.supplier_sku, "count": request.quantity, "ref": request.reference}
        answer = self._http.request("POST", "/orders", json=body)
        if answer.is_ok:
            return self._outcome(answer.json(OrderIn))
        code = answer.json(ErrorIn).error["code"] if 400 <= answer.status < 500 else ""
        return on.Refused(code, REFUSALS[code]) if code in REFUSALS else on.Unknown(f"answered {answer.status} {code[:20]}")

    def lookup(self, about: on.LookupRequest) -> on.LookupOutcome:
        if about.supplier_order_id is None:
            found = self._get("/orders", PageIn[OrderIn], ref=about.placed.reference).items
            return self._outcome(found[0]) if found else on.NotFound()
        answer = self._http.request("GET", f"/orders/{quote(about.supplier_order_id, safe='')}")
        if answer.status == 404 and answer.json(ErrorIn).error["code"] == "NO_SUCH_ORDER":
            return on.NotFound()
        return self._outcome(self._read(answer, OrderIn))

    def catalog(self) -> Iterator[on.SupplierProduct]:
        page = pages = 1
        while page <= pages:
            found = self._get("/products", PageIn[ProductIn], page=str(page), size="100")
            for one in found.items:
                face, cost = Money.parse(one.face["amount"], one.face["currency"]), Money.parse(one.price, self._unit)
                facts: dict[str, Any] = {"brand": one.brand, "countries": (one.country,), "stock": one.stock, "cost": cost}
                facts |= {"face_minor": face.minor, "is_available": one.on_sale and one.stock > 0}
                yield on.SupplierProduct(one.sku, one.title, face.currency.code, **facts)
            page, pages = page + 1, found.pages

    def balance(self) -> Sequence[Money]:
        found = self._get("/account", dict[str, str])
        return [Money.parse(found["available"], found["currency"])]

    def statement(self, since: datetime, until: datetime) -> Iterable[on.StatementLine]:
        page, period = 1, {"from": since.isoformat(), "to": until.isoformat()}
        while rows := self._get("/transactions", PageIn[LineIn], **period, page=str(page)).items:
            for one in rows:
                at, amount = datetime.fromisoformat(one.at), Money.parse(one.amount, self._unit)
                signed = amount if one.type == "sale" else -amount
                yield on.StatementLine(at, signed, one.order_id, one.ref, KINDS.get(one.type, "other"))
            page += 1

    def close(self) -> None:
        self._http.close()

    def _outcome(self, order: OrderIn) -> on.Outcome:
        if order.state in ("queued", "working"):
            return on.Accepted(order.id)
        if order.state in ("rejected", "cancelled"):
            return on.Refused(f"the order is {order.state}", supplier_order_id=order.id)
        if order.state not in ("done", "short") or (order.state == "done" and len(order.cards) != order.count):
            return on.Unknown(f"{order.state[:20]} with {len(order.cards)} cards", order.id)
        codes = tuple([PlainCode(one["number"], one.get("pin"), one.get("serial")) for one in order.cards])
        return on.Delivered(codes, Money.parse(order.paid, self._unit), order.id)

    def _get(self, path: str, wanted: Any, **params: str) -> Any:
        return self._read(self._http.request("GET", path, params=params), wanted)

    def _read(self, answer: on.Answer, wanted: Any) -> Any:
        if answer.status == 401:
            raise on.CredentialsRefused(status=answer.status)
        if not answer.is_ok:
            raise on.OddAnswer(status=answer.status)
        return answer.json(wanted)


FIELDS = (on.ConfigField("base_url", "Its address."), on.ConfigField("api_key", "The key.", is_secret=True))
KIND = on.ConnectorKind("acme", "Acme", Acme, FIELDS)
