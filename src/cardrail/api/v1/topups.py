"""Top-ups: checked before they are ordered."""

from __future__ import annotations

from typing import Final

from litestar import Response, post

from cardrail.api.desk import HttpRequest, answer, describe, desk_of, principal_of
from cardrail.api.readers import Readers
from cardrail.api.wire_replacements import TopupIn, TopupVerdictOut
from cardrail.orders import validate_topup

_CHECKS: Final = Readers(8, name="cardrail-topup")
"""Threads of their own: a supplier that hangs must not keep those that everybody else is answered by."""


@post(
    "/v1/topups/validate",
    status_code=200,
    opt=describe(
        "Check a top-up",
        TopupVerdictOut,
        tag="Catalog",
        scope="catalog:read",
        body=TopupIn,
        errors=("unknown_sku", "not_a_topup"),
        description="Whether an order with these fields would be taken: by the product's patterns, and by the supplier where one can be "
        "asked. Nothing is bought. A supplier that does not answer makes nothing invalid: `supplier_check` is then `unavailable`.",
        examples={"a_number": {"sku": "EXAMPLE-TOPUP", "fields": {"mobile_number": "01712345678"}}},
    ),
)
async def check_topup(request: HttpRequest) -> Response[bytes]:
    """Check a top-up's fields."""
    desk, mode = desk_of(request), principal_of(request).mode
    asked = await desk.body(request, TopupIn)
    verdict = await _CHECKS.run(lambda: validate_topup(desk.parts.replacements.buying, mode, asked.sku, asked.fields))
    return answer(
        TopupVerdictOut(
            is_valid=verdict.is_valid,
            field=verdict.field,
            reason=verdict.reason,
            pattern=verdict.pattern,
            supplier_check=verdict.supplier_check.value,
            account_name=verdict.account_name,
        )
    )


TOPUP_ROUTES: Final = (check_topup,)
