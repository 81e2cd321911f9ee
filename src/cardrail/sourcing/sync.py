"""What suppliers sell, at what cost, and how much of it: asked for from time to time, written down by diff.

The supplier is asked first, with no transaction open; then what differs is written, some hundreds of rows at a time. Two things wait for
an operator: the cost of a mapped product that jumped (nothing is bought of it meanwhile), and a catalog most of which is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import msgspec
import structlog

from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import BPS_ONE, CardrailError, Clock, Money, currency, format_minor, to_micros
from cardrail.sourcing import products, store
from cardrail.sourcing.asking import asked
from cardrail.sourcing.balance import tell_supplier
from cardrail.sourcing.connector import Connector, SupplierProduct
from cardrail.sourcing.errors import NotSupported, SourcingError, SupplierProductNotFound
from cardrail.sourcing.model import Supplier, SupplierState
from cardrail.sourcing.products import KeptProduct
from cardrail.sourcing.rules import apply_rules
from cardrail.sourcing.suppliers import Connectors, get_supplier
from cardrail.storage import AuditLog, Database, Tx, audit_entry

log = structlog.get_logger("cardrail.sourcing")

CHANGES_MAX: Final = 1_000
"""Changes that a report names; the rest is counted."""
STOCK_AT_ONCE: Final = 100
_MINOR_MAX: Final = 2**63 - 1
_TEXT_MAX: Final = 300
_json = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Change:
    """What differs of one product."""

    sku: str
    name: str
    kind: str
    """new | changed | held (its cost jumped) | gone | back | mapped (by a rule)."""
    words: str


@dataclass(slots=True)
class SyncReport:
    """What a sync found."""

    supplier: str
    listed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("new", "changed", "held", "gone", "back"), 0))
    restocked: int = 0
    """Products of which nothing but the stock is another."""
    unusable: int = 0
    """Listed in a way that cannot be kept: an unknown currency, a negative amount."""
    withheld: int = 0
    """Products that are listed no more, and stay as they were, because they are most of what there was."""
    mapped: int = 0
    """Mappings that the supplier's rules made."""
    changes: list[Change] = field(default_factory=list)

    def note(self, change: Change) -> None:
        if change.kind in self.counts:
            self.counts[change.kind] += 1
        if len(self.changes) < CHANGES_MAX:
            self.changes.append(change)

    @property
    def has_changes(self) -> bool:
        return any(self.counts.values()) or bool(self.withheld) or bool(self.mapped)


# --- rules ------------------------------------------------------------------------------------------------------------


def has_jumped(before: int, after: int, jump_bps: int) -> bool:
    """Whether a cost went up or down by more than this part of what it was."""
    return abs(after - before) * BPS_ONE > before * jump_bps


def judge(
    known: KeptProduct | None, told: KeptProduct, *, is_mapped: bool, jump_bps: int, keeps_stock: bool
) -> tuple[KeptProduct, Change | None]:
    """The row as it is to be, and what is worth telling of it. ``told`` holds no cost that is held."""
    if known is None:
        return told, Change(told.supplier_sku, told.name, "new", f"costs {_cost(told)}" if told.has_cost else "cost not told")
    if told.stock is None and keeps_stock:
        told = replace(told, stock=known.stock)
    row = _with_cost(known, told, is_mapped=is_mapped, jump_bps=jump_bps)
    if row.is_held and (row.held_cost_minor, row.held_cost_bps) != (known.held_cost_minor, known.held_cost_bps):
        return row, Change(row.supplier_sku, row.name, "held", f"cost {_cost(known)} → {_held(row)}")
    words = _differences(known, row)
    if row.is_available and not known.is_available:
        return row, Change(row.supplier_sku, row.name, "back", "; ".join(words) or "sold again")
    return row, Change(row.supplier_sku, row.name, "changed", "; ".join(words)) if words else None


def _with_cost(known: KeptProduct, told: KeptProduct, *, is_mapped: bool, jump_bps: int) -> KeptProduct:
    """The told row, with the cost that counts from now on: the told one, or the known one while the told one waits."""
    if not told.has_cost:  # its catalog does not tell costs; somebody else did
        return replace(
            told,
            cost_minor=known.cost_minor,
            cost_bps=known.cost_bps,
            cost_currency=known.cost_currency,
            held_cost_minor=known.held_cost_minor,
            held_cost_bps=known.held_cost_bps,
        )
    same_currency = told.cost_currency == known.cost_currency
    if not is_mapped or (not known.has_cost and not known.is_held):
        return told
    if same_currency and not _differs_much(known, told, jump_bps):
        return told
    keeps = known if same_currency else replace(known, cost_minor=None, cost_bps=None)
    return replace(
        told, cost_minor=keeps.cost_minor, cost_bps=keeps.cost_bps, held_cost_minor=told.cost_minor, held_cost_bps=told.cost_bps
    )


def _differs_much(known: KeptProduct, told: KeptProduct, jump_bps: int) -> bool:
    pairs = ((known.cost_minor, told.cost_minor), (known.cost_bps, told.cost_bps))
    if not known.has_cost or any((before is None) != (after is None) for before, after in pairs):
        return True
    return any(before is not None and after is not None and has_jumped(before, after, jump_bps) for before, after in pairs)


def _differences(known: KeptProduct, row: KeptProduct) -> list[str]:
    """What an operator wants to hear of; stock changes all day long."""
    words = []
    if known.name != row.name:
        words.append(f"name {known.name!r} → {row.name!r}")
    if _face(known) != _face(row):
        words.append(f"face value {_face(known)} → {_face(row)}")
    if (known.cost_minor, known.cost_bps, known.cost_currency) != (row.cost_minor, row.cost_bps, row.cost_currency):
        words.append(f"cost {_cost(known)} → {_cost(row)}")
    elif known.is_held and not row.is_held:
        words.append(f"cost {_cost(row)} as before")
    if known.is_available and not row.is_available:
        words.append("not sold at present")
    return words


def _is_same(known: KeptProduct, row: KeptProduct) -> bool:
    return replace(row, updated_at=known.updated_at, seen_at=known.seen_at) == known


def _cost(one: KeptProduct) -> str:
    return _amount(one.cost_minor, one.cost_bps, one.cost_currency)


def _held(one: KeptProduct) -> str:
    return _amount(one.held_cost_minor, one.held_cost_bps, one.cost_currency)


def _amount(minor: int | None, bps: int | None, code: str) -> str:
    if minor is not None:
        return f"{format_minor(minor, currency(code).digits)} {code}"
    return f"{format_minor(bps, 2)} % of the face value" if bps is not None else "not told"


def _face(one: KeptProduct) -> str:
    digits = currency(one.currency).digits
    if one.min_minor is not None and one.max_minor is not None:
        return f"{format_minor(one.min_minor, digits)}-{format_minor(one.max_minor, digits)} {one.currency}"
    return f"{format_minor(one.face_minor, digits)} {one.currency}" if one.face_minor is not None else "open"


def face_words(one: KeptProduct) -> str:
    """Its face value or range, for people."""
    return _face(one)


def cost_words(one: KeptProduct) -> str:
    """Its cost, and the one that waits, for people."""
    return f"{_cost(one)}, held: {_held(one)}" if one.is_held else _cost(one)


def kept(supplier: Supplier, told: SupplierProduct, at: int) -> KeptProduct | None:
    """The row of what a supplier told; None where it cannot be kept. Texts are foreign: they are cut, and hold no NUL."""
    amounts = (told.face_minor, told.min_minor, told.max_minor, told.step_minor, told.cost_bps, told.stock)
    cost = told.cost
    numbers = [one for one in (*amounts, cost.minor if cost is not None else None) if one is not None]
    if not told.sku or "\0" in told.sku or len(told.sku) > _TEXT_MAX or any(not 0 <= one <= _MINOR_MAX for one in numbers):
        return None
    try:
        code = currency(told.currency).code
    except CardrailError:
        return None
    return KeptProduct(
        supplier_id=supplier.id,
        supplier_sku=told.sku,
        name=_text(told.name) or told.sku,
        brand=_text(told.brand),
        category=_text(told.category),
        kind=told.kind,
        countries=_text(" ".join(told.countries)) or "",
        currency=code,
        face_minor=told.face_minor,
        min_minor=told.min_minor,
        max_minor=told.max_minor,
        step_minor=told.step_minor,
        cost_minor=cost.minor if cost is not None else None,
        cost_bps=told.cost_bps,
        cost_currency=cost.currency.code if cost is not None else code if told.cost_bps is not None else supplier.currency,
        stock=told.stock,
        is_available=told.is_available,
        held_cost_minor=None,
        held_cost_bps=None,
        fields=_json.encode(list(told.fields)).decode().replace("\\u0000", "") if told.fields else None,
        updated_at=at,
        seen_at=at,
    )


def _text(text: str | None) -> str | None:
    return text.replace("\0", "")[:_TEXT_MAX] if text is not None else None


# --- use cases --------------------------------------------------------------------------------------------------------


def sync_supplier(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    connectors: Connectors,
    name_or_id: str,
    *,
    jump_bps: int,
    actor: str,
    snapshot: CatalogSnapshot | None = None,
    take_missing: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> SyncReport:
    """Ask for the whole catalog, map by its rules, ask for stock and costs of what is mapped where the catalog does not tell them.

    What differs is written. ``snapshot``: our catalog; without it no rule is applied.
    ``take_missing``: also take it for true that most of the catalog is gone. Raises SupplierNotFound, NotSupported, SupplierError's kinds.
    """
    with db.read() as tx:
        supplier = get_supplier(tx, name_or_id)
    connector = connectors.of(supplier)
    able = connector.capabilities
    report = SyncReport(supplier.name)
    if not (able.has_catalog or able.has_stock or able.has_price):
        raise NotSupported(call="catalog", supplier=supplier.name)
    if able.has_catalog:
        told = asked("catalog", lambda: _listed(supplier, connector.catalog(), to_micros(clock.now()), report, progress))
        _write(db, clock, supplier, told, report, jump_bps=jump_bps, keeps_stock=able.has_stock)
        _drop(db, clock, supplier, told, report, take_missing=take_missing)
    if snapshot is not None:
        for made in apply_rules(db, clock, audit, snapshot, supplier, actor=actor):
            report.mapped += 1
            report.note(Change(made.product.supplier_sku, made.product.name, "mapped", f"is {made.offer.sku}, by {made.rule.id}"))
    _refresh(db, clock, supplier, connector, report, jump_bps=jump_bps)
    _finish(db, clock, audit, supplier, report, actor)
    return report


def refresh_supplier(
    db: Database, clock: Clock, audit: AuditLog, connectors: Connectors, name_or_id: str, *, jump_bps: int, actor: str
) -> SyncReport:
    """Ask for stock and cost of what is mapped, where the supplier tells them one by one; a few calls, often."""
    with db.read() as tx:
        supplier = get_supplier(tx, name_or_id)
    report = SyncReport(supplier.name)
    _refresh(db, clock, supplier, connectors.of(supplier), report, jump_bps=jump_bps)
    _finish(db, clock, audit, supplier, report, actor)
    return report


def sync_suppliers(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    connectors: Connectors,
    *,
    jump_bps: int,
    whole: bool,
    snapshot: CatalogSnapshot | None = None,
) -> int:
    """Every active supplier in turn: its catalog, or only stock and costs; how many answered. One that does not keeps nobody waiting."""
    with db.read() as tx:
        active = [one for one in store.list_suppliers(tx) if one.state is SupplierState.ACTIVE]
    count = 0
    for one in active:
        try:
            if whole:
                sync_supplier(db, clock, audit, connectors, one.id, jump_bps=jump_bps, actor="system", snapshot=snapshot)
            else:
                refresh_supplier(db, clock, audit, connectors, one.id, jump_bps=jump_bps, actor="system")
            count += 1
        except NotSupported:
            continue
        except SourcingError as error:
            log.warning("a supplier could not be synced", supplier=one.name, reason=error.code)
    return count


def accept_costs(
    db: Database, clock: Clock, audit: AuditLog, name_or_id: str, skus: Iterable[str] | None, *, actor: str
) -> list[KeptProduct]:
    """An operator's yes to costs that jumped: of these products, or of all that wait. Raises SupplierNotFound, SupplierProductNotFound."""
    with db.transaction() as tx:
        supplier = get_supplier(tx, name_or_id)
        wanted = (
            sorted(skus)
            if skus is not None
            else [one.supplier_sku for one in products.load_products(tx, supplier.id) if one.is_held]
        )
        now = clock.now()
        accepted = []
        for some in products.in_chunks(wanted):
            found = products.lock_products(tx, supplier.id, some)
            for sku in some:
                one = found.get(sku)
                if one is None or not one.is_held:
                    raise SupplierProductNotFound(supplier=supplier.name, sku=sku, reason="no cost of it waits")
                free = replace(one, cost_minor=one.held_cost_minor, cost_bps=one.held_cost_bps, held_cost_minor=None)
                accepted.append(replace(free, held_cost_bps=None, updated_at=to_micros(now)))
        products.write_products(tx, accepted)
        if accepted:
            details = {"name": supplier.name, "costs": {one.supplier_sku: _cost(one) for one in accepted[:CHANGES_MAX]}}
            audit.append(tx, [audit_entry(now, actor, "supplier.cost_accepted", subject=supplier.id, details=details)])
    return accepted


def _listed(
    supplier: Supplier, catalog: Iterable[SupplierProduct], at: int, report: SyncReport, progress: Callable[[int], None]
) -> dict[str, KeptProduct]:
    """All of a catalog, by sku: it is read to its end before anything is written, so half a catalog changes nothing."""
    found = {}
    for told in catalog:
        row = kept(supplier, told, at)
        if row is None:
            report.unusable += 1
            continue
        found[row.supplier_sku] = row
        progress(len(found))
    report.listed = len(found)
    return found


def _write(
    db: Database,
    clock: Clock,
    supplier: Supplier,
    told: Mapping[str, KeptProduct],
    report: SyncReport,
    *,
    jump_bps: int,
    keeps_stock: bool,
) -> None:
    for some in products.in_chunks(told):
        with db.transaction() as tx:
            mapped = products.mapped_skus(tx, supplier.id)
            known = products.lock_products(tx, supplier.id, some)
            write, same, changes, restocked = [], [], [], 0
            for sku in some:
                row, change = judge(
                    known.get(sku), told[sku], is_mapped=sku in mapped, jump_bps=jump_bps, keeps_stock=keeps_stock
                )
                before = known.get(sku)
                if before is not None and _is_same(before, row):
                    same.append(sku)
                    continue
                write.append(row)
                restocked += before is not None and change is None and before.stock != row.stock
                if change is not None:
                    changes.append(change)
            products.write_products(tx, write)
            products.mark_seen(tx, supplier.id, same, to_micros(clock.now()))
        report.restocked += restocked
        for change in changes:
            report.note(change)


def _drop(
    db: Database, clock: Clock, supplier: Supplier, told: Mapping[str, KeptProduct], report: SyncReport, *, take_missing: bool
) -> None:
    """What is listed no more is not bought any more; unless that is most of what there was, which is more likely a fault of the list."""
    with db.read() as tx:
        before = products.available_skus(tx, supplier.id)
    missing = before - told.keys()
    if len(missing) * 2 > len(before) and not take_missing:
        report.withheld = len(missing)
        return
    for some in products.in_chunks(missing):
        with db.transaction() as tx:
            known = products.lock_products(tx, supplier.id, some)
            products.mark_gone(tx, supplier.id, some, to_micros(clock.now()))
        for sku in some:
            report.note(Change(sku, known[sku].name, "gone", "not listed any more"))


def _stock_of(connector: Connector, some: Sequence[str]) -> dict[str, int]:
    """Their stock of these skus, read to its end here, where its faults are caught."""
    return dict(connector.stock(some))


def _refresh(db: Database, clock: Clock, supplier: Supplier, connector: Connector, report: SyncReport, *, jump_bps: int) -> None:
    """Stock and cost of what is mapped, where they are told one by one. A cost that the catalog tells is not asked for again."""
    able = connector.capabilities
    with db.read() as tx:
        mapped = products.mapped_skus(tx, supplier.id)
        known = [one for one in products.load_products(tx, supplier.id) if one.supplier_sku in mapped]
    skus = [one.supplier_sku for one in known]
    stock: dict[str, int] = {}
    if able.has_stock:
        for start in range(0, len(skus), STOCK_AT_ONCE):
            some = skus[start : start + STOCK_AT_ONCE]
            stock.update(asked("stock", partial(_stock_of, connector, some)))
    costs: dict[str, Money] = {}
    if able.has_price:
        for one in known:
            if one.face_minor is not None and not (able.has_catalog and one.has_cost):
                face = Money(one.face_minor, currency(one.currency))
                costs[one.supplier_sku] = asked("price", partial(connector.price, one.supplier_sku, face, 1))
    now = to_micros(clock.now())
    for some in products.in_chunks({*stock, *costs} & mapped):
        with db.transaction() as tx:
            rows = products.lock_products(tx, supplier.id, some)
            write, changes, restocked = [], [], 0
            for before in rows.values():
                sku, cost = before.supplier_sku, costs.get(before.supplier_sku)
                told = replace(before, held_cost_minor=None, held_cost_bps=None, cost_minor=None, cost_bps=None, updated_at=now)
                count = min(max(stock[sku], 0), _MINOR_MAX) if sku in stock else before.stock
                is_back = before.stock == 0 and bool(count)  # it was not sold because there was none
                told = replace(told, stock=count, is_available=before.is_available or is_back)
                if cost is not None and 0 <= cost.minor <= _MINOR_MAX:
                    told = replace(told, cost_minor=cost.minor, cost_currency=cost.currency.code)
                row, change = judge(before, told, is_mapped=True, jump_bps=jump_bps, keeps_stock=True)
                if _is_same(before, row):
                    continue
                write.append(row)
                restocked += change is None
                if change is not None:
                    changes.append(change)
            products.write_products(tx, write)
        report.restocked += restocked
        for change in changes:
            report.note(change)


def _finish(db: Database, clock: Clock, audit: AuditLog, supplier: Supplier, report: SyncReport, actor: str) -> None:
    """Leave a trace of what changed; tell of costs that wait."""
    if not report.has_changes:
        return
    now = clock.now()
    with db.transaction() as tx:
        if report.counts["held"]:
            store.load_health(tx, supplier.id, lock=True)
            _tell_held(tx, supplier, report.changes, report.counts["held"], to_micros(now))
        details = {"name": supplier.name, **report.counts, "mapped": report.mapped, "withheld": report.withheld}
        audit.append(tx, [audit_entry(now, actor, "supplier.synced", subject=supplier.id, details=details)])


def _tell_held(tx: Tx, supplier: Supplier, changes: Sequence[Change], count: int, now: int) -> None:
    skus = [one.sku for one in changes if one.kind == "held"][:20]
    tell_supplier(tx, "supplier.cost_held", supplier.id, supplier.mode.value, now, {"products": count, "supplier_skus": skus})
