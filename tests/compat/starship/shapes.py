"""What the sheet says that answers look like (specs/starship.md), and its examples. Values are made up; shapes are the vendor's."""

from __future__ import annotations

import re
from typing import Any, Final

from tests.compat.shapes import Either, Number, Only

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TEXT2: Final = re.compile(r"\d+\.\d\d")
JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


def nullable(shape: Any) -> Any:
    return Either(None, shape)


STATUSES: Final = ("PLACED", "PENDING", "PROCESSING", "DELIVERED", "PARTIALLY_DELIVERED", "FAILED", "CANCELLED")
UPPER: Final = Only(*STATUSES)
LOWER: Final = Only(*[one.lower() for one in STATUSES])

TOKENS: Final = {
    "access_token": JWT,
    "refresh_token": JWT,
    "access_expires_at": TIME,
    "refresh_expires_at": TIME,
    "client_id": int,
}
RANGE: Final = {"min_value": Number, "max_value": Number, "discount": Number}
PRODUCT_2: Final = {
    "id": int,
    "name": str,
    "category": str,
    "sub_category": nullable(str),
    "country_id": int,
    "currency_id": int,
    "image_url": nullable(str),
    "delivery_type": str,
    "delivery_time": str,
    "validity": str,
    "available_denominations": [RANGE],
}
PRODUCT: Final = PRODUCT_2 | {"delivery_mode": str}
TEXTS: Final = {
    "description": nullable(str),
    "terms_and_conditions": nullable(str),
    "redemption_instructions": nullable(str),
}
CHARGES: Final = {
    "non_discounted_total": Number,
    "discount_amount": Number,
    "total_amount": Number,
    "discount": Number,
    "gst_amount": Number,
    "total_payable": Number,
    "max_quantity": int,
    "net_amount": nullable(Number),
    "handling_fee_amount": nullable(Number),
    "charges_details": {
        "source_currency": str,
        "destination_currency": str,
        "forex_rate": nullable(Number),
        "conversion_fee": nullable(Number),
    },
}
VOUCHER: Final = {
    "claim_url": nullable(str),
    "card_number": nullable(str),
    "voucher_reference_number": nullable(str),
    "pin_code": nullable(str),
    "expires_at": nullable(TIME),
}
CREATED: Final = {
    "id": int,
    "ref": str,
    "transaction_id": int,
    "amount": Number,
    "product_id": int,
    "denomination": Number,
    "quantity": int,
    "discount": Number,
    "vouchers": [VOUCHER],
    "status": UPPER,
    "placed_at": TIME,
}
LISTED: Final = {
    "id": int,
    "product_name": str,
    "currency": str,
    "reference_code": str,
    "transaction_id": int,
    "product_id": int,
    "denomination": TEXT2,
    "quantity": int,
    "amount": TEXT2,
    "status": LOWER,
    "email": nullable(str),
    "mobile": nullable({"mobile_country_code": str, "mobile_number": str}),
    "placed_at": TIME,
}
DETAILS: Final = {
    "id": int,
    "reference_code": str,
    "transaction_id": int,
    "amount": TEXT2,
    "product_id": int,
    "denomination": TEXT2,
    "quantity": int,
    "discount": TEXT2,
    "vouchers": [VOUCHER],
    "status": LOWER,
    "placed_at": TIME,
}
WALLET: Final = {"id": int, "currency_id": int, "amount": Number, "type": Only("PREPAID", "POSTPAID")}
TRANSACTION: Final = {
    "id": int,
    "wallet_id": int,
    "currency_id": int,
    "amount": Number,
    "transaction_type": Only("CREDIT", "DEBIT"),
    "status": Only("PENDING", "COMPLETED", "FAILED"),
    "source_currency": nullable(str),
    "destination_currency": nullable(str),
    "forex_rate": nullable(Number),
    "conversion_charges": nullable(Number),
    "remarks": str,
    "created_at": TIME,
}
CATEGORY: Final = {"id": int, "name": str}
COUNTRY: Final = {
    "id": int,
    "code": re.compile("[A-Z]{2}"),
    "name": str,
    "currency_code": re.compile("([A-Z]{3})?"),
    "is_active": bool,
    "created_at": TIME,
    "updated_at": TIME,
}
CURRENCY: Final = {
    "id": int,
    "code": re.compile("[A-Z]{3}"),
    "name": str,
    "symbol": str,
    "decimal_places": int,
    "exchange_rate": nullable(Number),
    "base_currency": str,
    "is_active": bool,
    "supported_denominations": [Number],
    "last_updated": TIME,
    "created_at": TIME,
    "updated_at": TIME,
    "meta": {"base_currency": str, "last_updated": TIME},
}

WEBHOOK: Final = {
    "id": int,
    "name": str,
    "url": str,
    "events": [str],
    "credential_id": int,
    "is_active": bool,
    "created_at": TIME,
}

SHAPE_A: Final = {"error": str, "message": str}
FAILURES: Final = {"*": [{"rule": str, "field": str, "message": str}]}
SHAPE_B: Final = {"error": {"name": str, "code": re.compile("[A-Z_]+"), "message": str, "messages?": FAILURES}}
SHAPE_C: Final = {"error": {"code": str, "message": str, "details": {}}}

EXAMPLES: Final = {
    "1.3 login": (
        TOKENS,
        """{"access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAA", "refresh_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.BBB",
        "access_expires_at": "2026-01-01T01:00:00Z", "refresh_expires_at": "2026-01-08T00:00:00Z", "client_id": 70415}""",
    ),
    "1.7 shape B": (
        SHAPE_B,
        """{"error":{"name":"ValidationException","code":"E_VALIDATION_FAILURE","message":"Input validation failed.",
        "messages":{"quantity":[{"rule":"min","field":"quantity","message":"quantity must be at least 1"}]}}}""",
    ),
    "2.1 products": (
        [PRODUCT],
        """[{"id":418,"name":"Northwind Books Card","category":"Gift Cards","sub_category":"Retail","country_id":1,"currency_id":1,
        "image_url":"https://img.example/nw.png","delivery_mode":"Digital","delivery_type":"Email","delivery_time":"Instant",
        "validity":"24 months","available_denominations":[{"min_value":10.00,"max_value":10.00,"discount":3.0},
        {"min_value":20.00,"max_value":250.00,"discount":4.0}]}]""",
    ),
    "2.4 charges": (
        CHARGES,
        """{"non_discounted_total":120.00,"discount_amount":4.80,"total_amount":115.20,"discount":4.0,"gst_amount":20.74,
        "total_payable":135.94,"max_quantity":200,"net_amount":115.20,"handling_fee_amount":0.00,
        "charges_details":{"source_currency":"USD","destination_currency":"USD","forex_rate":null,"conversion_fee":null}}""",
    ),
    "2.5 created": (
        CREATED,
        """{"id":90231,"ref":"LUMEN-77120","transaction_id":551204,"amount":120.00,"product_id":418,"denomination":40.00,
        "quantity":3,"discount":4.80,"vouchers":[],"status":"PENDING","placed_at":"2026-01-01T00:00:00Z"}""",
    ),
    "2.6 list": (
        [LISTED],
        """[{"id":90231,"product_name":"Northwind Books Card","currency":"USD","reference_code":"LUMEN-77120","transaction_id":551204,
        "product_id":418,"denomination":"40.00","quantity":3,"amount":"120.00","status":"pending","email":"pat@example.org",
        "mobile":{"mobile_country_code":"+44","mobile_number":"7700900123"},"placed_at":"2026-01-01T00:00:00Z"}]""",
    ),
    "2.7 details": (
        DETAILS,
        """{"id":90231,"reference_code":"LUMEN-77120","transaction_id":551204,"amount":"120.00","product_id":418,"denomination":"40.00",
        "quantity":3,"discount":"4.80","status":"delivered","placed_at":"2026-01-01T00:00:00Z",
        "vouchers":[{"claim_url":null,"card_number":"6003118822004417","voucher_reference_number":"NWB-0001","pin_code":"7391",
        "expires_at":"2028-01-01T00:00:00Z"}]}""",
    ),
    "2.8 wallets": ([WALLET], """[{"id":9021,"currency_id":1,"amount":8412.06,"type":"PREPAID"}]"""),
}
"""The sheet's own examples by section, each with the shape that answers are held to."""
