"""What the tests of surface P have in common: goods of every kind, and short words for a call."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx2

from cardrail.catalog import import_catalog, parse_rate, set_rate
from cardrail.kernel import Mode, PartnerId, to_micros
from cardrail.sourcing import SUPPLY_VERSION, NewSupplier, SupplierProduct, create_supplier, put_mapping, put_product
from cardrail.storage import bump_version
from tests.compat.build import CompatShop

ROOT = "/compat/foxreload/api"

FIELDS = [
    {"name": "player_id", "pattern": r"[1-9]\d{5,11}"},
    {"name": "server", "pattern": "EU|US|ASIA"},
    {"name": "email", "pattern": r"[^@\s]{1,64}@[^@\s]{1,60}\.[A-Za-z]{2,24}", "required": False},
]
TEXTS = {
    "en": {"name": "Battle coins", "description": "Coins for the battle", "instructions": "Open the shop of the game."},
    "ru": {"name": "Боевые монеты", "description": "Монеты для битвы", "instructions": "Откройте магазин игры."},
}

SHEET: list[dict[str, Any]] = [
    {
        "product_code": "COINS",
        "name": "Battle coins",
        "brand": "Battle game",
        "category": "Game currency",
        "kind": "topup",
        "country": "IN",
        "currency": "INR",
        "denomination_type": "fixed",
        "face_values": "100|250",
        "discount_percent": "4",
        "input_fields": json.dumps(FIELDS),
        "translations": json.dumps(TEXTS),
        "sourcing": "stock",
    },
    {
        "product_code": "LINK",
        "name": "Story link",
        "brand": "Story shop",
        "kind": "link",
        "country": "DE|FR",
        "currency": "USD",
        "denomination_type": "fixed",
        "face_values": "10",
        "discount_percent": "10",
        "sourcing": "on_demand",
    },
    {
        "product_code": "ODD",
        "name": "Odd steps card",
        "brand": "Story shop",
        "currency": "INR",
        "denomination_type": "range",
        "min_face_value": "10.50",
        "max_face_value": "40.50",
        "step": "2.50",
        "discount_percent": "0",
        "sourcing": "hybrid",
    },
    {
        "product_code": "NOPRICE",
        "name": "Unpriced card",
        "brand": "Story shop",
        "currency": "INR",
        "denomination_type": "fixed",
        "face_values": "77",
    },
]
"""Beside what every shop of these tests has. LINK, ODD and NOPRICE stand in no category."""


def furnish(shop: CompatShop) -> None:
    """The goods above, exchange rates, and a dollar wallet."""
    part = shop.cardrail
    columns = list(dict.fromkeys(name for line in SHEET for name in line))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns)
    writer.writeheader()
    writer.writerows(SHEET)
    import_catalog(part.db, part.clock, part.audit, file.getvalue().encode(), actor="test")
    for quote, rate in (("INR", "92.5"), ("RUB", "92.10")):
        set_rate(part.db, part.clock, part.audit, actor="test", base="USD", quote=quote, rate_e10=parse_rate(rate))
    part.catalog.refresh()
    shop.credit("500.00", "USD")
    supply(shop, "ODD")


def supply(shop: CompatShop, sku: str) -> None:
    """A supplier who sells this sku."""
    part = shop.cardrail
    new = NewSupplier(f"Supplier of {sku}", "simulated", Mode.LIVE, "INR", {"pretend": True})
    row = create_supplier(part.db, part.clock, part.audit, part.sealer, new, {}, actor="test")
    offer = part.catalog.current().offer(sku)
    assert offer is not None
    now = to_micros(part.clock.now())
    with part.db.transaction() as tx:
        put_product(tx, row.id, SupplierProduct(f"THEIR-{sku}", sku, "INR"), row.currency, now)
        put_mapping(tx, offer.denomination_id, row.id, f"THEIR-{sku}", is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)


class Api:
    """One caller."""

    def __init__(self, shop: CompatShop, key: str | None, **headers: str) -> None:
        own = {"X-API-Key": key} if key is not None else {}
        self.http = httpx2.Client(base_url=shop.url + ROOT, headers=own | headers, timeout=60, trust_env=False)

    def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The answer's body, which must come with this status."""
        response = self.http.request(method, path, **options)
        assert response.status_code == status, response.text
        assert response.headers["content-type"].startswith("application/json")
        return response.json()

    def get(self, path: str, status: int = 200, /, **query: Any) -> Any:
        return self.call("GET", path, status, params=query)

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        return self.call("POST", path, status, json=body)

    def product(self, slug: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/products/{slug}")
        return found

    def items(self, *wanted: tuple[str, int] | tuple[str, int, dict[str, Any]]) -> list[dict[str, Any]]:
        """Items of an order by slug, quantity, and further members."""
        return [{"itemId": self.product(one[0])["id"], "quantity": one[1], **(one[2] if len(one) > 2 else {})} for one in wanted]

    def create(self, *wanted: Any, status: int = 201, **facts: Any) -> Any:
        return self.post("/orders/", {"items": self.items(*wanted), **facts}, status)

    def pay(self, order: dict[str, Any], status: int = 200) -> Any:
        return self.post(f"/orders/{order['id']}/pay", {}, status)

    def bought(self, *wanted: Any, **facts: Any) -> dict[str, Any]:
        """An order, created, paid and read."""
        order = self.create(*wanted, **facts)
        self.pay(order)
        found: dict[str, Any] = self.get(f"/orders/{order['id']}")
        return found


class Callers:
    """Callers of a shop, closed together."""

    def __init__(self, shop: CompatShop) -> None:
        self.shop = shop
        self._made: list[Api] = []

    def of(
        self, mode: Mode = Mode.LIVE, *scopes: str, partner_id: PartnerId | None = None, headers: dict[str, str] | None = None
    ) -> Api:
        """A caller with a key of this mode."""
        key = self.shop.credential("foxreload", mode, *scopes, partner_id=partner_id)["api_key"]
        return self.bare(key, headers)

    def bare(self, key: str | None, headers: dict[str, str] | None = None) -> Api:
        """A caller with just this key, or none."""
        self._made.append(Api(self.shop, key, **(headers or {})))
        return self._made[-1]

    def close(self) -> None:
        for one in self._made:
            one.http.close()


def refused(body: Any, code: str, *words: str) -> None:
    """The answer is this refusal, whole, and its text has these words."""
    assert set(body) == {"code", "detail"}, body
    assert body["code"] == code, body
    assert isinstance(body["detail"], str)
    for word in words:
        assert word in body["detail"], body
