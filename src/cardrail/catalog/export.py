"""Write the catalog as a sheet that the import reads back to the same catalog."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from cardrail.catalog.fields import encode_fields, field_of
from cardrail.catalog.model import Offer, Product
from cardrail.catalog.prices import PriceRule
from cardrail.catalog.sheets import COLUMNS, percent, plain
from cardrail.catalog.snapshot import CatalogSnapshot
from cardrail.kernel import format_minor

_json = msgspec.json.Encoder(order="sorted").encode


def export(snapshot: CatalogSnapshot) -> Iterator[str]:
    """The sheet line by line: every product that is on sale, with its costs and default discounts."""
    rules = {
        rule.denomination_id: rule
        for rule in snapshot.rules
        if rule.denomination_id and not rule.partner_id and not rule.price_list_id and rule.kind == "discount"
    }
    yield _line(COLUMNS)
    for product in snapshot.all_products:
        if product.retired_at is None and product.sellable:
            cells = _cells(product, rules)
            yield _line([cells.get(name) or "" for name in COLUMNS])


def _cells(product: Product, rules: dict[str, PriceRule]) -> dict[str, str | None]:
    offers = product.sellable
    usual = [field_of(one.name, product.countries) for one in product.input_fields] == list(product.input_fields)
    cells: dict[str, str | None] = {
        "product_code": product.code,
        "name": product.name,
        "brand": product.brand.name,
        "category": product.category.name if product.category else None,
        "kind": product.kind,
        "country": " ".join(product.countries),
        "currency": product.currency.code,
        "denomination_type": offers[0].type,
        "validity_days": str(product.validity_days) if product.validity_days else None,
        "required_fields": "|".join([one.name for one in product.input_fields]) if usual else None,
        "input_fields": None if usual else encode_fields(product.input_fields),
        "sourcing": product.sourcing,
        "classification": product.classification,
        "delivery_mode": product.delivery_mode,
        "image_url": product.image_url,
        "barcode": product.barcode,
        "translations": _json(product.translations).decode() if product.translations else None,
    }
    discounts = [rules.get(offer.denomination_id) for offer in offers]
    cells["discount_percent"] = _joined([percent(rule.value) if rule else "" for rule in discounts])
    cells.update(_range_cells(offers[0]) if offers[0].type == "range" else _fixed_cells(offers))
    return cells


def _range_cells(offer: Offer) -> dict[str, str | None]:
    def amount(minor: int | None) -> str | None:
        return None if minor is None else plain(minor, offer.currency)

    return {
        "min_face_value": amount(offer.min_minor),
        "max_face_value": amount(offer.max_minor),
        "step": amount(offer.step_minor),
        "cost_percent": percent(offer.cost_bps) if offer.cost_bps else None,
    }


def _fixed_cells(offers: Sequence[Offer]) -> dict[str, str | None]:
    costs = [
        "" if one.cost_minor is None else format_minor(one.cost_minor, (one.cost_currency or one.currency).digits)
        for one in offers
    ]
    return {
        "face_values": "|".join([plain(offer.face_minor or 0, offer.currency) for offer in offers]),
        "cost": "|".join(costs) if any(costs) else None,
        "cost_currency": next((one.cost_currency.code for one in offers if one.cost_currency), None),
    }


def _joined(values: Sequence[str]) -> str:
    """One value where all are the same, else all of them separated by ``|``."""
    return values[0] if len(set(values)) == 1 else "|".join(values)


def _line(cells: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
