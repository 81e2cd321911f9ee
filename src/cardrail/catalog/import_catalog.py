"""Import a sheet into the catalog: what it would change is worked out first, pure and shown as a diff, then written at once or not at all.

Importing the same sheet again changes nothing. A denomination keeps its sku for ever: it is found by its face value before a new sku
is made. Face values that the sheet no longer has are retired; products that it does not name, and products that the operator retired,
stay as they are.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from cardrail.catalog import store
from cardrail.catalog.changes import PRODUCT_UPDATED, Actor, Change, ProductEvent
from cardrail.catalog.errors import CatalogBusy, UnreadableSheet
from cardrail.catalog.prices import PriceRule
from cardrail.catalog.sheets import FaceRow, Problem, Sheet, SheetRow, default_sourcing, percent, plain, read_sheet
from cardrail.kernel import Clock, currency, format_minor, new_id
from cardrail.storage import AuditLog, Database, Tx, bump_version, in_tx, read_version

MARKUP_DEFAULT_BPS: Final = 500
"""What is put on cost where nobody said otherwise: 5 %."""
TRIES_MAX: Final = 5

Progress = Callable[[int, int], None]
"""Called with lines done and lines in all."""


@dataclass(frozen=True, slots=True)
class ProductChange:
    """What the import does to one product."""

    line: int
    code: str
    name: str
    what: str
    """added, changed, unchanged, or retired: named by the sheet, but kept off sale because the operator retired it."""
    details: tuple[str, ...] = ()
    """In words: "name: A → B"."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or would do."""

    changes: tuple[ProductChange, ...]
    problems: tuple[Problem, ...]
    problem_count: int
    written: bool
    """False after a dry run, and where bad lines stopped it."""
    markup_bps: int | None
    """The default markup on cost that the import made or set; None if it touched none."""

    def count(self, what: str) -> int:
        return sum([change.what == what for change in self.changes])

    @property
    def is_stopped(self) -> bool:
        """Whether bad lines kept it from being written."""
        return bool(self.problem_count) and not self.written


def import_catalog(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    data: bytes,
    *,
    actor: str,
    origin: str | None = None,
    source: str = "",
    dry_run: bool = False,
    skip_bad: bool = False,
    markup_bps: int | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Bring the catalog to what a sheet says.

    If any line is bad nothing is written, unless ``skip_bad`` leaves those out. ``markup_bps`` sets the default markup on cost; without
    it one of 5 % is made where a product has a cost and there is no default price rule yet.
    Raises UnreadableSheet if the file as a whole is no sheet (its facts say why), CatalogBusy if others kept changing the catalog.
    """
    for _ in range(TRIES_MAX):
        plan = _compare(db, data, markup_bps, progress)
        stopped = plan.sheet.problem_count > 0 and not skip_bad
        report = _report(plan, written=not dry_run and not stopped)
        if not report.written or not plan.has_work:
            return report
        try:
            in_tx(db, partial(_write, clock=clock, audit=audit, actor=Actor(actor, origin), plan=plan, source=source))
        except _MovedError:
            continue
        return report
    raise CatalogBusy


def diff(db: Database, data: bytes, *, markup_bps: int | None = None) -> ImportReport:
    """What importing a sheet would change. Raises UnreadableSheet."""
    return _report(_compare(db, data, markup_bps, None), written=False)


def _compare(db: Database, data: bytes, markup_bps: int | None, progress: Progress | None) -> Plan:
    sheet = read_sheet(data)
    if not sheet.is_readable:
        problem = sheet.problems[0]
        raise UnreadableSheet(line=problem.line, column=problem.column, problem=problem.message)
    with db.read() as tx:
        existing = load_existing(tx)
    return plan_import(sheet, existing, markup_bps, progress)


# --- what there is ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Existing:
    """The catalog as rows, before the import."""

    version: int
    categories: dict[str, str]
    """Slug → id."""
    brands: dict[str, str]
    products: dict[str, dict[str, Any]]
    """By code."""
    denominations: dict[str, list[dict[str, Any]]]
    """By product id."""
    owners: dict[str, str]
    """Sku → product id."""
    rules: dict[str, PriceRule]
    """Default rules by denomination id."""
    default_rule: PriceRule | None


def load_existing(tx: Tx) -> Existing:
    """Read what an import compares with."""
    version = read_version(tx, "catalog")
    denominations: dict[str, list[dict[str, Any]]] = {}
    owners = {}
    for row in store.load_denominations(tx):
        denominations.setdefault(row.product_id, []).append(store.row_dict(row))
        owners[row.sku] = row.product_id
    rules = [rule for rule in store.load_rules(tx) if not rule.partner_id and not rule.price_list_id and not rule.product_id]
    return Existing(
        version=version,
        categories={row.slug: row.id for row in store.load_categories(tx)},
        brands={row.slug: row.id for row in store.load_brands(tx)},
        products={row.code: store.row_dict(row) for row in store.load_products(tx)},
        denominations=denominations,
        owners=owners,
        rules={rule.denomination_id: rule for rule in rules if rule.denomination_id},
        default_rule=next((rule for rule in rules if rule.denomination_id is None), None),
    )


# --- what would change ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Plan:
    """All that the import will write."""

    sheet: Sheet
    existing: Existing
    changes: list[ProductChange] = field(default_factory=list)
    new_categories: list[dict[str, Any]] = field(default_factory=list)
    new_brands: list[dict[str, Any]] = field(default_factory=list)
    new_products: list[dict[str, Any]] = field(default_factory=list)
    changed_products: list[dict[str, Any]] = field(default_factory=list)
    new_denominations: list[dict[str, Any]] = field(default_factory=list)
    changed_denominations: list[dict[str, Any]] = field(default_factory=list)
    retired_denominations: list[str] = field(default_factory=list)
    restored_denominations: list[str] = field(default_factory=list)
    new_rules: list[dict[str, Any]] = field(default_factory=list)
    changed_rules: list[dict[str, Any]] = field(default_factory=list)
    removed_rules: list[str] = field(default_factory=list)
    barcodes: dict[str, str | None] = field(default_factory=dict)
    """Product id → what its codes are drawn as from now on."""
    touched: dict[str, ProductChange] = field(default_factory=dict)
    """Product id → its change, of all that are added or changed."""
    markup_bps: int | None = None

    @property
    def has_work(self) -> bool:
        return bool(self.touched or self.new_rules or self.changed_rules)


_PRODUCT_DEFAULTS: Final[dict[str, Any]] = {
    "category_id": None,
    "classification": "CLOSED_LOOP",
    "delivery_mode": "ONLINE",
    "countries": "",
    "image_url": None,
    "barcode": None,
    "validity_days": None,
    "input_fields": None,
    "translations": None,
}
_FACE_DEFAULTS: Final[dict[str, Any]] = {
    "face_minor": None,
    "min_minor": None,
    "max_minor": None,
    "step_minor": None,
    "cost_minor": None,
    "cost_bps": None,
    "cost_currency": None,
}
_RULE_DEFAULTS: Final[dict[str, Any]] = {
    "partner_id": None,
    "price_list_id": None,
    "product_id": None,
    "denomination_id": None,
    "currency": None,
    "rounding": "half_up",
    "rounding_minor": 1,
    "fee_minor": 0,
    "tax_bps": 0,
    "allow_below_cost": False,
}


def plan_import(sheet: Sheet, existing: Existing, markup_bps: int | None = None, progress: Progress | None = None) -> Plan:
    """Compare a sheet with the catalog. Pure but for the ids and numbers it makes; what does not fit becomes a problem of its line."""
    plan = Plan(sheet, existing)
    for done, row in enumerate(sheet.rows, 1):
        _plan_product(plan, row)
        if progress is not None and (done % 500 == 0 or done == len(sheet.rows)):
            progress(done, len(sheet.rows))
    _plan_markup(plan, markup_bps)
    return plan


def _plan_product(plan: Plan, row: SheetRow) -> None:
    known = plan.existing.products.get(row.code)
    if not _fits(plan, row, known):
        return
    values = dict(row.given)
    if "category" in values:
        values["category_id"] = _category_id(plan, values.pop("category"))
    values["brand_id"] = _brand_id(plan, row.brand)
    details: list[str] = []
    if known is None:
        values = {**_PRODUCT_DEFAULTS, "sourcing": default_sourcing(values["kind"]), **values}
        product_id = new_id("prd")
        plan.new_products.append({"id": product_id, "number": new_number(), "code": row.code, **values})
        if values["barcode"] is not None:
            plan.barcodes[product_id] = values["barcode"]
    else:
        product_id = known["id"]
        changed = {name: value for name, value in values.items() if known[name] != value}
        names = _names(plan.existing) if {"brand_id", "category_id"} & changed.keys() else _NONE
        details += [
            f"{_label(name)}: {names.get(known[name], known[name])} → {names.get(value, value)}"
            for name, value in changed.items()
        ]
        if details:
            plan.changed_products.append(
                {"of": product_id, **{name: values.get(name, known[name]) for name in store.PRODUCT_VALUES}}
            )
        if "barcode" in changed:
            plan.barcodes[product_id] = changed["barcode"]
    _plan_faces(plan, row, product_id, details)
    what = "added" if known is None else "changed" if details else "unchanged"
    if known is not None and known["retired_at"] is not None:
        what = "retired"
    change = ProductChange(row.line, row.code, row.given["name"], what, tuple(details) if known else ())
    plan.changes.append(change)
    if known is None or details:
        plan.touched[product_id] = change


def _fits(plan: Plan, row: SheetRow, known: dict[str, Any] | None) -> bool:
    """Whether the line can be taken beside what there is."""
    if known is not None and known["currency"] != row.currency.code:
        plan.sheet.add(row.line, "currency", f"{row.code} is in {known['currency']}; another currency needs another code")
        return False
    for face in row.faces:
        owner = plan.existing.owners.get(row.sku(face))
        if owner is not None and (known is None or owner != known["id"]):
            plan.sheet.add(row.line, "product_code", f"the sku {row.sku(face)} belongs to another product")
            return False
    return True


def _plan_faces(plan: Plan, row: SheetRow, product_id: str, details: list[str]) -> None:
    """Match the line's face values with the product's denominations, then write what differs."""
    present = plan.existing.denominations.get(product_id, [])
    left = {one["id"]: one for one in present}
    pairs: list[tuple[FaceRow, dict[str, Any] | None]] = []
    for face in row.faces:
        match = _match(face, row.sku(face), list(left.values()), exact=True)
        if match is not None:
            del left[match["id"]]
        pairs.append((face, match))
    for face, same in pairs:
        match = same or _match(face, row.sku(face), list(left.values()), exact=False)
        if match is not None:
            left.pop(match["id"], None)
        _plan_face(plan, row, product_id, (face, match), details)
    for gone in left.values():
        if gone["retired_at"] is None:
            plan.retired_denominations.append(gone["id"])
            details.append(f"{gone['sku']}: retired")


def _match(face: FaceRow, sku: str, present: Sequence[dict[str, Any]], *, exact: bool) -> dict[str, Any] | None:
    """The denomination that the face value means: the one of the same value, else (not exact) the one with its sku."""
    if exact and face.type == "fixed":
        same = [one for one in present if one["type"] == "fixed" and one["face_minor"] == face.face_minor]
    else:
        same = [one for one in present if one["sku"] == sku]
    same.sort(key=lambda one: (one["sku"] != sku, one["retired_at"] is not None))
    return same[0] if same else None


def _plan_face(
    plan: Plan, row: SheetRow, product_id: str, pair: tuple[FaceRow, dict[str, Any] | None], details: list[str]
) -> None:
    face, known = pair
    values = {
        "type": face.type,
        "face_minor": face.face_minor,
        "min_minor": face.min_minor,
        "max_minor": face.max_minor,
        **{name: value for name, value in face.given.items() if name != "discount_bps"},
    }
    if face.type == "fixed":
        values |= {"step_minor": None, "cost_bps": None}
    else:
        values |= {"cost_minor": None, "cost_currency": None}
        if not (known and known["step_minor"]):
            values.setdefault("step_minor", 10**row.currency.digits)
    if known is None:
        sku, denomination_id = row.sku(face), new_id("den")
        plan.new_denominations.append(
            {"id": denomination_id, "number": new_number(), "sku": sku, "product_id": product_id, **_FACE_DEFAULTS, **values}
        )
        details.append(f"{sku}: added")
    else:
        sku, denomination_id = known["sku"], known["id"]
        before = len(details)
        details += [_face_detail(row, known, name, value) for name, value in values.items() if known[name] != value]
        if len(details) > before:
            kept = {name: known[name] for name in store.DENOMINATION_VALUES}
            plan.changed_denominations.append({"of": denomination_id, **kept, **values})
        if known["retired_at"] is not None:
            plan.restored_denominations.append(denomination_id)
            details.append(f"{sku}: back on sale")
    if "discount_bps" in face.given:
        _plan_discount(plan, sku, denomination_id, face.given["discount_bps"], details)


def _plan_discount(plan: Plan, sku: str, denomination_id: str, bps: int | None, details: list[str]) -> None:
    """The denomination's default rule follows the sheet; a blank cell takes away a discount, and nothing else."""
    rule = plan.existing.rules.get(denomination_id)
    if bps is None:
        if rule is not None and rule.kind == "discount":
            plan.removed_rules.append(rule.id)
            details.append(f"{sku}: discount {percent(rule.value)} % → none")
    elif rule is None:
        plan.new_rules.append(
            {**_RULE_DEFAULTS, "id": new_id("prc"), "denomination_id": denomination_id, "kind": "discount", "value": bps}
        )
        details.append(f"{sku}: discount {percent(bps)} %")
    elif (rule.kind, rule.value) != ("discount", bps):
        plan.changed_rules.append({**_rule_values(rule), "kind": "discount", "value": bps, "currency": None})
        before = f"{percent(rule.value)} %" if rule.kind == "discount" else rule.kind
        details.append(f"{sku}: discount {before} → {percent(bps)} %")


def _plan_markup(plan: Plan, markup_bps: int | None) -> None:
    """Costs need a markup to become prices: the one that was asked for, or 5 % where there is no default rule at all."""
    rule = plan.existing.default_rule
    if markup_bps is None:
        has_cost = any(
            face.given.get("cost_minor") or face.given.get("cost_bps") for row in plan.sheet.rows for face in row.faces
        )
        if rule is not None or not has_cost:
            return
        markup_bps = MARKUP_DEFAULT_BPS
    if rule is None:
        plan.new_rules.append({**_RULE_DEFAULTS, "id": new_id("prc"), "kind": "markup", "value": markup_bps})
    elif (rule.kind, rule.value) != ("markup", markup_bps):
        plan.changed_rules.append({**_rule_values(rule), "kind": "markup", "value": markup_bps, "currency": None})
    else:
        return
    plan.markup_bps = markup_bps


def _rule_values(rule: PriceRule) -> dict[str, Any]:
    return {
        "of": rule.id,
        "rounding": rule.rounding,
        "rounding_minor": rule.rounding_minor,
        "fee_minor": rule.fee_minor,
        "tax_bps": rule.tax_bps,
        "allow_below_cost": rule.allow_below_cost,
    }


def _category_id(plan: Plan, name: str | None) -> str | None:
    return _shelf_id(plan.existing.categories, plan.new_categories, "cat", name) if name else None


def _brand_id(plan: Plan, name: str) -> str:
    return _shelf_id(plan.existing.brands, plan.new_brands, "brd", name)


def _shelf_id(known: dict[str, str], new: list[dict[str, Any]], prefix: str, name: str) -> str:
    """The id of a brand or category by its slug; a new one takes a place in ``known`` and in ``new``."""
    slug = slug_of(name)
    if slug not in known:
        known[slug] = new_id(prefix)
        new.append({"id": known[slug], "number": new_number(), "slug": slug, "name": name})
    return known[slug]


def slug_of(name: str) -> str:
    """A name for addresses: lower case, letters and digits of any script, the rest as single hyphens."""
    slug = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFKC", name).casefold()).strip("-")
    return slug or "x-" + hashlib.blake2b(name.encode(), digest_size=6).hexdigest()


def new_number() -> int:
    """A random number for dialects whose ids are numbers: it fits a double, and says nothing of how many there are."""
    return secrets.randbelow(2**53 - 1) + 1


_NONE: Final[dict[str | None, str]] = {None: "none", "": "none"}


def _names(existing: Existing) -> dict[str | None, str]:
    """Brands and categories by id, in words; and what is not there."""
    slugs = dict(_NONE)
    for known in (existing.brands, existing.categories):
        slugs.update({one: slug for slug, one in known.items()})
    return slugs


def _label(column: str) -> str:
    return {"brand_id": "brand", "category_id": "category"}.get(column, column)


def _face_detail(row: SheetRow, known: dict[str, Any], name: str, value: Any) -> str:
    def shown(amount: Any, code: str | None) -> str:
        if amount is None or name == "type":
            return str(amount)
        if name == "cost_bps":
            return f"{percent(amount)} %"
        if name == "cost_minor":
            return format_minor(amount, currency(code or row.currency.code).digits)
        return plain(amount, row.currency) if isinstance(amount, int) else str(amount)

    label = name.removesuffix("_minor")
    return f"{known['sku']}, {label}: {shown(known[name], known['cost_currency'])} → {shown(value, None)}"


def _report(plan: Plan, *, written: bool) -> ImportReport:
    sheet = plan.sheet
    return ImportReport(tuple(plan.changes), tuple(sheet.problems), sheet.problem_count, written, plan.markup_bps)


# --- writing ----------------------------------------------------------------------------------------------------------


class _MovedError(Exception):
    """The catalog changed between the plan and its writing."""


def _write(tx: Tx, clock: Clock, audit: AuditLog, actor: Actor, *, plan: Plan, source: str) -> None:
    """Write a plan. Raises _MovedError if the catalog is no longer the one it was made for."""
    bump_version(tx, "catalog")
    if read_version(tx, "catalog") != plan.existing.version + 1:
        raise _MovedError
    change = Change(tx, clock.now(), audit, actor)
    _save(change, plan)
    _tell(change, plan, source)


def _save(change: Change, plan: Plan) -> None:
    tx, at = change.tx, change.micros
    stamps = {"created_at": at, "updated_at": at}
    store.insert_categories(tx, _tuples(plan.new_categories, store.CATEGORY_COLUMNS, stamps))
    store.insert_brands(tx, _tuples(plan.new_brands, store.BRAND_COLUMNS, stamps))
    store.insert_products(tx, _tuples(plan.new_products, store.PRODUCT_COLUMNS, stamps))
    store.update_products(tx, [{**row, "updated_at": at} for row in plan.changed_products])
    store.set_barcodes(tx, plan.barcodes)
    store.insert_denominations(tx, _tuples(plan.new_denominations, store.DENOMINATION_COLUMNS, stamps))
    store.update_denominations(tx, [{**row, "updated_at": at} for row in plan.changed_denominations])
    store.mark_denominations(tx, plan.retired_denominations, at, at)
    store.mark_denominations(tx, plan.restored_denominations, None, at)
    store.insert_rules(tx, _tuples(plan.new_rules, store.RULE_COLUMNS, stamps))
    store.update_rules(tx, [{**row, "updated_at": at} for row in plan.changed_rules])
    store.delete_rules(tx, plan.removed_rules)
    store.touch_products(tx, [one for one, what in plan.touched.items() if what.what != "added"], at)


def _tell(change: Change, plan: Plan, source: str) -> None:
    events = [
        ProductEvent(PRODUCT_UPDATED, product_id, {"code": one.code, "change": one.what})
        for product_id, one in plan.touched.items()
    ]
    details = {
        "source": source[-200:],
        "added": len(plan.new_products),
        "changed": len(plan.touched) - len(plan.new_products),
        "denominations_retired": len(plan.retired_denominations),
        "price_rules": len(plan.new_rules) + len(plan.changed_rules) + len(plan.removed_rules),
        "markup_bps": plan.markup_bps,
    }
    change.tell("catalog.imported", details=details, events=events)


def _tuples(rows: Sequence[dict[str, Any]], columns: Sequence[str], stamps: dict[str, int]) -> list[tuple[Any, ...]]:
    return [tuple([stamps[name] if name in stamps else row[name] for name in columns]) for row in rows]
