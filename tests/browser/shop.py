"""The shop whose gifts are looked at in a browser: made-up brands, texts in three languages, each kind of drawing."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Final

import httpx2

from cardrail.catalog import import_catalog
from tests.api.build import Served

COLUMNS: Final = (
    "product_code",
    "name",
    "brand",
    "kind",
    "country",
    "currency",
    "denomination_type",
    "face_values",
    "discount_percent",
    "barcode",
    "translations",
)
TEXTS: Final = {
    "en": {
        "instructions": "1. Visit any Blue Fig café, or order at bluefig.example.\n2. Show the code when you pay, or type it at checkout.\n"
        "3. What you don’t spend stays on the card.",
        "terms": "Valid in all Blue Fig cafés in the EU. Not redeemable for cash. May be used several times until it is spent.",
    },
    "de": {
        "name": "Blue Fig Café Geschenkkarte",
        "instructions": "1. Besuchen Sie ein Blue Fig Café.\n2. Zeigen Sie den Code an der Kasse.\n3. Was übrig ist, bleibt auf der Karte.",
        "terms": "Gültig in allen Blue Fig Cafés der EU. Keine Barauszahlung.",
    },
    "ar": {
        "name": "بطاقة هدايا مقهى بلو فيج",
        "instructions": "١. زر أي مقهى بلو فيج.\n٢. أظهر الرمز عند الدفع.\n٣. يبقى الرصيد المتبقي على البطاقة.",
        "terms": "صالحة في جميع مقاهي بلو فيج في الاتحاد الأوروبي. غير قابلة للاستبدال نقدًا.",
    },
}
PRODUCTS: Final = (
    ("FIG", "Blue Fig Café gift card", "Blue Fig Café", "code", "50", "QR"),
    ("TRAIL", "Trailhead Outfitters voucher", "Trailhead Outfitters", "code", "75", "CODE128"),
    ("TILL", "Corner Market voucher", "Corner Market", "code", "20", "EAN13"),
    (
        "PLAIN",
        "Lantern Books voucher with a name that is rather longer than a phone is wide",
        "Lantern Books",
        "code",
        "12.50",
        "",
    ),
    ("LINK", "Pixelbay credits", "Pixelbay", "link", "25", ""),
)
CODES: Final = {
    "FIG": "code,pin,expires_at\n" + "".join([f"FIG7-K2QX-9M{n:02d}-WTRA,{4100 + n},2027-12-31\n" for n in range(90)]),
    "TRAIL": "code,serial\n" + "".join([f"TRL-5502-88{n:02d}-1947,SN-00{n:02d}\n" for n in range(90)]),
    "TILL": "code\n4006381333931\n4003994155486\n",
    "PLAIN": "code\n" + "".join([f"{'LANTERN' * 8}{n:02d}\n" for n in range(20)]),
    "LINK": "code,url\n" + "".join([f"PXB-{n:04d}-GIFT,{{url}}/redeem/{n}\n" for n in range(20)]),
}


class GiftShop:
    """What a partner gives away, and how."""

    def __init__(
        self, served: Served, codes: dict[str, str] | None = None, *, redeem_url: str = "https://pixelbay.example"
    ) -> None:
        self.served = served
        world = served.world
        import_catalog(world.db, world.clock, world.audit, _sheet(), actor="test")
        world.catalog.refresh()
        for sku, text in (CODES if codes is None else codes).items():
            world.stock(sku, text.replace("{url}", redeem_url).splitlines())
        buyer = world.a_partner("EUR", "50000.00")
        self.client = served.client(served.a_key(partner_id=buyer.partner_id))

    def gift(self, sku: str = "FIG", quantity: int = 1, **delivery: Any) -> dict[str, Any]:
        """The link of a fresh order, whose codes nobody has seen."""
        answer = self.client.post("/v1/orders", json={"items": [{"sku": sku, "quantity": quantity}], "delivery": delivery})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["claims"][0]
        return made

    def state(self, claim: dict[str, Any]) -> str:
        """UNCLAIMED, CLAIMED …"""
        found: str = self.client.get(f"/v1/orders/{claim['order_id']}/claims").json()["data"][0]["state"]
        return found

    def revoke(self, claim: dict[str, Any]) -> httpx2.Response:
        return self.client.post(f"/v1/claims/{claim['id']}/revoke")


def _sheet() -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for code, name, brand, kind, face, barcode in PRODUCTS:
        texts = json.dumps(TEXTS if code == "FIG" else {"en": TEXTS["en"]})
        writer.writerow((code, name, brand, kind, "DE", "EUR", "fixed", face, "5", barcode, texts))
    return out.getvalue().encode()
