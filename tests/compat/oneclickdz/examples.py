"""The example bodies of the sheet (specs/oneclickdz.md), by its sections. Their values are made up; their shapes are the vendor's."""

from __future__ import annotations

from typing import Any, Final

from tests.compat.shapes import parse, shape_of

PING: Final = """{"success":true,"data":{"api":"ok","operators":{"mobilis":"up","ooredoo":"up","djezzy":"down","mobilisFixedPlans":"up"}},
"meta":{"timestamp":"2026-02-03T09:00:00.000Z"}}"""

VALIDATE: Final = """{"success":true,"data":{"username":"+213550112233","apiKey":{"key":"0b7c1f52-5c8e-4a7b-9d10-2f6a3e9b7711",
"isEnabled":true,"type":"SANDBOX","allowedips":[],"scope":"READ-WRITE"}}}"""

BALANCE: Final = """{"success":true,"data":{"balance":48210.75},"meta":{"timestamp":"2026-02-03T09:01:12.118Z"}}"""

TRANSACTIONS: Final = """{"success":true,"data":{"items":[
  {"_id":"69a1c0de77b1f40012ab34cd","type":"ORDER","operation":"DECREMENT","amount":2940,"oldBalance":48210.75,"newBalance":45270.75,
   "objid":"69a1c0de77b1f40012ab34cc","note":"","time":"2026-02-03T09:20:00.501Z"}],
  "pagination":{"page":1,"pageSize":20,"totalPages":1,"totalResults":1}},
 "meta":{"timestamp":"2026-02-03T09:21:40.007Z"}}"""

CATALOG: Final = """{"success":true,"totalCategories":1,"totalProducts":2,"data":{"categories":[{"title":"Steam","products":[
 {"id":"65f0a1b2c3d4e5f60718293a","title":"Steam Turkey","enabled":true,"region":"turkey"},
 {"id":"65f0a1b2c3d4e5f60718293b","title":"Steam Global","enabled":false}]}]},
 "meta":{"timestamp":"2026-02-03T09:02:00.950Z"}}"""

CHECK_PRODUCT: Final = """{"success":true,"data":{"productId":"65f0a1b2c3d4e5f60718293a","productTitle":"Steam Turkey","types":[
 {"id":"65f0a1b2c3d4e5f607182a01","name":"50 TRY","price":295,"quantity":41},
 {"id":"65f0a1b2c3d4e5f607182a02","name":"100 TRY","price":588,"quantity":0}]},
 "meta":{"timestamp":"2026-02-03T09:03:10.002Z"},"requestId":"req_1770109390_w4n2xc"}"""

PLACE_ORDER: Final = """{"success":true,"data":{"orderId":"69a1c0de77b1f40012ab34cc"},"meta":{"timestamp":"2026-02-03T09:20:00.498Z"},
"requestId":"req_1770110400_t7m1hd"}"""

HANDLING: Final = """{"success":true,"data":{"_id":"69a1c0de77b1f40012ab34cc","status":"HANDLING","quantity":3,
"product":"65f0a1b2c3d4e5f60718293a","type":"65f0a1b2c3d4e5f607182a01","time":"2026-02-03T09:20:00.498Z"}}"""

PARTIAL: Final = """{"success":true,"data":{"_id":"69a1c0de77b1f40012ab34cc","status":"PARTIALLY_FILLED","quantity":3,
"product":"65f0a1b2c3d4e5f60718293a","type":"65f0a1b2c3d4e5f607182a01","time":"2026-02-03T09:20:00.498Z","fulfilled_quantity":2,
"fulfilled_amount":590,"price_per_card":295,"cards":[{"value":"Q7ZK-2M4P-XX01-9AAB","serial":"770012"},
{"value":"R1DT-88LC-XX02-4CDE","serial":"770013"}]}}"""

LIST: Final = """{"success":true,"data":{"items":[
 {"_id":"69a1c0de77b1f40012ab34cc","quantity":1,"price_per_card":295,"time":"2026-02-03T09:20:00.498Z","fulfilled_quantity":0,
  "fulfilled_amount":0,"cards":[],"status":"REFUNDED","product":"65f0a1b2c3d4e5f60718293a","type":"65f0a1b2c3d4e5f607182a01"}],
 "pagination":{"page":1,"pageSize":20,"totalPages":1,"totalResults":1}},"meta":{"timestamp":"2026-02-03T09:30:00.123Z"}}"""

ERROR: Final = """{"success":false,"error":{"code":"INSUFFICIENT_BALANCE","message":"Your balance is insufficient for this operation",
"details":{"required":2940,"available":1200.5}},"requestId":"req_1770110131_p08zzt"}"""

UNKNOWN_ROUTE: Final = """{"message":"Route GET:/v3/nope not found","error":"Not Found","statusCode":404}"""


def like(example: str, *, bare: bool = False) -> dict[str, Any]:
    """The shape of an example; a success may have ``meta`` and ``requestId`` beside what it shows (1.4), a ``bare`` one may not."""
    shape: dict[str, Any] = shape_of(parse(example))
    if bare or not shape.get("success"):
        return shape
    return {"meta?": {"timestamp": str}, "requestId?": str} | {name: one for name, one in shape.items() if name not in _LOOSE}


_LOOSE: Final = ("meta", "requestId")
