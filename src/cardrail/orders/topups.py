"""Checking a top-up before it is ordered: its fields by their patterns, and by a supplier where one can be asked.

The supplier is called with no transaction open, and only so long: that it does not answer makes nothing invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoVerdictInTime
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Final

import structlog

from cardrail.catalog import CatalogSnapshot, InvalidField, MissingField, Offer, UnknownSku
from cardrail.kernel import Mode
from cardrail.orders.buying import SIMULATED, Buying
from cardrail.orders.errors import NotATopup
from cardrail.orders.sandbox import Behaviour, behaviour_of
from cardrail.sourcing import Connector, FieldsVerdict, SourcingError, load_listings, may_ask
from cardrail.storage import open_restores

log = structlog.get_logger("cardrail.topups")

VALIDATION_SECONDS: Final = 10.0
"""All suppliers together."""
SUPPLIERS_MAX: Final = 3
"""Suppliers that are asked one after the other, until one says something."""

_HANDS: Final = ThreadPoolExecutor(8, thread_name_prefix="cardrail-validate")


class SupplierCheck(StrEnum):
    """What the supplier's word is worth."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_OFFERED = "not_offered"
    """No supplier of it can be asked: only the patterns were looked at."""
    UNAVAILABLE = "unavailable"
    """One could be asked, and gave no answer."""


@dataclass(frozen=True, slots=True)
class TopupVerdict:
    """Whether an order with these fields would be taken, as far as anybody can say."""

    is_valid: bool
    supplier_check: SupplierCheck
    field: str | None = None
    reason: str | None = None
    pattern: str | None = None
    account_name: str | None = None


def validate_topup(
    buying: Buying, mode: Mode, sku: str, fields: Mapping[str, str], *, seconds: float = VALIDATION_SECONDS
) -> TopupVerdict:
    """Check the fields of a top-up. Raises UnknownSku, NotATopup."""
    snapshot = buying.catalog.refresh()
    offer = snapshot.offer(sku)
    if offer is None or not offer.is_sellable or behaviour_of(sku, mode) is not Behaviour.REAL:
        raise UnknownSku(sku=sku)
    if offer.kind != "topup":
        raise NotATopup(sku=sku, kind=offer.kind)
    wrong = _off_pattern(snapshot, offer, fields)
    if wrong is not None:
        return wrong
    return _asked(buying, mode, offer, fields, seconds)


def _off_pattern(snapshot: CatalogSnapshot, offer: Offer, fields: Mapping[str, str]) -> TopupVerdict | None:
    """What the catalog's own rules say against it."""
    try:
        snapshot.check_fields(offer, fields)
    except MissingField as error:
        name = str(error.facts["field"])
        pattern = next((one.pattern for one in offer.input_fields if one.name == name), "")
        return TopupVerdict(False, SupplierCheck.NOT_OFFERED, name, "it is required", pattern or None)
    except InvalidField as error:
        pattern = str(error.facts.get("pattern") or "")
        reason = str(error.facts.get("reason") or "it is not of its form")
        return TopupVerdict(False, SupplierCheck.NOT_OFFERED, str(error.facts["field"]), reason, pattern or None)
    return None


def _asked(buying: Buying, mode: Mode, offer: Offer, fields: Mapping[str, str], seconds: float) -> TopupVerdict:
    """What a supplier says, the first that says anything."""
    check = SupplierCheck.NOT_OFFERED
    over = monotonic() + seconds
    for connector, supplier_sku in _who_can_say(buying, mode, offer):
        verdict = _verdict(connector, supplier_sku, fields, max(0.0, over - monotonic()))
        if verdict is None:
            check = SupplierCheck.UNAVAILABLE
            continue
        if verdict.is_valid:
            return TopupVerdict(True, SupplierCheck.VALID, account_name=verdict.account_name)
        return TopupVerdict(False, SupplierCheck.INVALID, verdict.field, verdict.reason, account_name=verdict.account_name)
    return TopupVerdict(True, check)


def _who_can_say(buying: Buying, mode: Mode, offer: Offer) -> list[tuple[Connector, str]]:
    """The suppliers that can be asked about this denomination, and what they call it. A test order's is the simulated one."""
    if mode is Mode.TEST:
        return [(buying.connectors.of(SIMULATED), offer.sku)]
    now = int(buying.clock.now().timestamp() * 1_000_000)
    with buying.db.read() as tx:
        listings = [] if open_restores(tx) else load_listings(tx, offer.denomination_id, mode)
    found = []
    for one in listings:
        try:
            connector = buying.connectors.of(one.supplier)
        except SourcingError as error:
            log.warning("a connector cannot be built", supplier=one.supplier.name, reason=error.code)
            continue
        if connector.capabilities.can_validate and may_ask(one.health, now):
            found.append((connector, one.supplier_sku))
    return found[:SUPPLIERS_MAX]


def _verdict(connector: Connector, supplier_sku: str, fields: Mapping[str, str], seconds: float) -> FieldsVerdict | None:
    """The supplier's word; None where it gives none in time."""
    asked: Future[FieldsVerdict] = _HANDS.submit(connector.validate, supplier_sku, dict(fields))
    try:
        return asked.result(timeout=seconds)
    except NoVerdictInTime:
        asked.cancel()
        return None
    except Exception as error:  # whatever it was, nothing was said about the account
        log.info("a supplier did not check a top-up", error=type(error).__name__)
        return None
