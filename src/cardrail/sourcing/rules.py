"""Rules that map a supplier's products without a person saying so each time: kept, applied by each sync, and taken back.

A rule says which of their products (by sku, name, brand, country, currency, face value) belong to which product of ours; each of them
becomes the denominations that it fits. What a person has mapped or unmapped is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Final

import sqlalchemy as sa

from cardrail.catalog import CatalogSnapshot, Offer, ProductNotFound
from cardrail.kernel import Clock, currency, new_id, to_micros
from cardrail.sourcing import products, store
from cardrail.sourcing.errors import InvalidMappingRule, MappingRuleNotFound
from cardrail.sourcing.mapping import misfit
from cardrail.sourcing.model import Supplier
from cardrail.sourcing.products import KeptProduct, Mapping
from cardrail.sourcing.suppliers import SUPPLY_VERSION, get_supplier
from cardrail.sourcing.tables import mapping_rules, supplier_mappings
from cardrail.storage import AuditLog, Database, Tx, audit_entry, bump_version

PREFIX: Final = "mrl_"
"""A mapping whose ``mapped_by`` begins so was made by the rule of this id."""
PATTERN_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class MappingRule:
    """All that is set must hold; what is None holds for everything."""

    id: str
    supplier_id: str
    product_id: str
    """Ours."""
    sku_like: str | None
    """``*`` stands for any characters, ``?`` for one."""
    name_like: str | None
    brand: str | None
    country: str | None
    currency: str | None
    face_min_minor: int | None
    face_max_minor: int | None
    created_by: str
    created_at: int


@dataclass(frozen=True, slots=True)
class RuleMapping:
    """A mapping that a rule makes."""

    rule: MappingRule
    product: KeptProduct
    offer: Offer


# --- the rules' own rules ---------------------------------------------------------------------------------------------


def holds(rule: MappingRule, product: KeptProduct) -> bool:
    """Whether the rule is about this product. A range is about a face value if it has it."""
    if rule.face_min_minor is not None or rule.face_max_minor is not None:
        low = product.face_minor if product.min_minor is None else product.min_minor
        high = product.face_minor if product.max_minor is None else product.max_minor
        if low is None or high is None or high < (rule.face_min_minor or 0):
            return False
        if rule.face_max_minor is not None and low > rule.face_max_minor:
            return False
    return (
        _like(rule.sku_like, product.supplier_sku)
        and _like(rule.name_like, product.name)
        and (rule.brand is None or (product.brand or "").casefold() == rule.brand.casefold())
        and (rule.country is None or rule.country in product.countries.split())
        and (rule.currency is None or rule.currency == product.currency)
    )


def _like(pattern: str | None, text: str) -> bool:
    """Only * and ? stand for others: brackets are brackets, as in "Steam [US]"."""
    return pattern is None or fnmatchcase(text.casefold(), pattern.casefold().replace("[", "[[]"))


def made_by_rules(
    rules: Sequence[MappingRule], listed: Iterable[KeptProduct], known: Iterable[Mapping], snapshot: CatalogSnapshot
) -> Iterator[RuleMapping]:
    """What the rules make of these products, the first rule that fits each; nothing that is mapped, or that a person decided."""
    mapped = list(known)
    pairs = {(one.supplier_sku, one.denomination_id) for one in mapped}
    decided = {one.supplier_sku for one in mapped if one.is_enabled and not one.mapped_by.startswith(PREFIX)}
    for product in listed:
        if product.supplier_sku in decided:
            continue
        for rule in rules:
            offers = list(_fitting(rule, product, snapshot)) if holds(rule, product) else []
            if offers:
                new = [one for one in offers if (product.supplier_sku, one.denomination_id) not in pairs]
                yield from (RuleMapping(rule, product, offer) for offer in new)
                break


def _fitting(rule: MappingRule, product: KeptProduct, snapshot: CatalogSnapshot) -> Iterator[Offer]:
    """The denominations of the rule's product that theirs is: a fixed one of just that face value before a range that has it."""
    ours = snapshot.product(rule.product_id)
    if ours is None:
        return
    theirs = frozenset(product.countries.split())
    if theirs and ours.countries and theirs.isdisjoint(ours.countries):
        return
    fits = [one for one in ours.sellable if misfit(product, one) is None and _faces(rule, one)]
    exact = [one for one in fits if one.type == "fixed"] if product.face_minor is not None else []
    yield from exact or fits


def _faces(rule: MappingRule, offer: Offer) -> bool:
    """Whether a fixed denomination of ours lies in the rule's face values too: a range of theirs may have more than was meant."""
    if offer.face_minor is None:
        return True
    return (rule.face_min_minor or 0) <= offer.face_minor and (
        rule.face_max_minor is None or offer.face_minor <= rule.face_max_minor
    )


# --- statements -------------------------------------------------------------------------------------------------------

_r = mapping_rules.c
_COLUMNS: Final = tuple([one.name for one in fields(MappingRule)])
_RULES: Final = sa.select(*[_r[name] for name in _COLUMNS]).order_by(_r.id)
_OF_SUPPLIER: Final = _RULES.where(_r.supplier_id == sa.bindparam("of"))
_m = supplier_mappings.c
_UNDO: Final = sa.delete(supplier_mappings).where(_m.supplier_id == sa.bindparam("of"), _m.mapped_by == sa.bindparam("rule"))


def load_rules(tx: Tx, supplier_id: str) -> list[MappingRule]:
    """A supplier's rules, oldest first: in this order they are tried."""
    return [MappingRule(*row) for row in tx.execute(_OF_SUPPLIER, {"of": supplier_id})]


def load_rule(tx: Tx, rule_id: str) -> MappingRule:
    """Raises MappingRuleNotFound."""
    row = tx.execute(_RULES.where(_r.id == rule_id)).first()
    if row is None:
        raise MappingRuleNotFound(rule=rule_id[:64])
    return MappingRule(*row)


# --- use cases --------------------------------------------------------------------------------------------------------


def add_rule(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    snapshot: CatalogSnapshot,
    name_or_id: str,
    product_code: str,
    *,
    sku_like: str | None = None,
    name_like: str | None = None,
    brand: str | None = None,
    country: str | None = None,
    code: str | None = None,
    face_min_minor: int | None = None,
    face_max_minor: int | None = None,
    actor: str,
) -> tuple[MappingRule, list[RuleMapping]]:
    """Keep a rule, and apply it at once to what is known of the supplier's.

    Raises SupplierNotFound, ProductNotFound, InvalidMappingRule, UnknownCurrency.
    """
    ours = snapshot.product_by_code(product_code)
    if ours is None:
        raise ProductNotFound(product=product_code[:64])
    told = (sku_like, name_like, brand, country)
    if not any(told):
        raise InvalidMappingRule(reason="say by which sku, name, brand or country: everything that fits would be mapped")
    if any(one is not None and not 0 < len(one) <= PATTERN_MAX for one in told):
        raise InvalidMappingRule(reason=f"1 to {PATTERN_MAX} characters")
    if country is not None and not (len(country) == 2 and country.isascii() and country.isupper()):
        raise InvalidMappingRule(field="country", reason="two capital letters")
    if face_min_minor is not None and face_max_minor is not None and face_min_minor > face_max_minor:
        raise InvalidMappingRule(field="face", reason="its least is above its most")
    now = clock.now()
    with db.transaction() as tx:
        supplier = get_supplier(tx, name_or_id)
        rule = MappingRule(
            id=new_id("mrl"),
            supplier_id=supplier.id,
            product_id=ours.id,
            sku_like=sku_like,
            name_like=name_like,
            brand=brand,
            country=country,
            currency=currency(code).code if code is not None else None,
            face_min_minor=face_min_minor,
            face_max_minor=face_max_minor,
            created_by=actor,
            created_at=to_micros(now),
        )
        tx.execute(sa.insert(mapping_rules).values(asdict(rule)))
        audit.append(tx, [audit_entry(now, actor, "supplier.rule_added", subject=supplier.id, details=_details(rule))])
    return rule, apply_rules(db, clock, audit, snapshot, supplier, actor=actor)


def apply_rules(
    db: Database, clock: Clock, audit: AuditLog, snapshot: CatalogSnapshot, supplier: Supplier, *, actor: str
) -> list[RuleMapping]:
    """Map what the supplier's rules say and nobody has decided; what was mapped. All of it, or none."""
    now = clock.now()
    with db.transaction() as tx:
        rules = load_rules(tx, supplier.id)
        if not rules:
            return []
        listed = [one for one in products.load_products(tx, supplier.id) if one.is_available]
        made = list(made_by_rules(rules, listed, products.load_mappings(tx, supplier.id), snapshot))
        for one in made:
            store.put_mapping(
                tx,
                one.offer.denomination_id,
                supplier.id,
                one.product.supplier_sku,
                is_enabled=True,
                mapped_by=one.rule.id,
                at=to_micros(now),
            )
        if made:
            bump_version(tx, SUPPLY_VERSION)
            mapped = [[one.product.supplier_sku, one.offer.sku, one.rule.id] for one in made[:1_000]]
            details = {"name": supplier.name, "mapped": mapped, "count": len(made)}
            audit.append(tx, [audit_entry(now, actor, "supplier.mapped_by_rule", subject=supplier.id, details=details)])
    return made


def remove_rule(db: Database, clock: Clock, audit: AuditLog, rule_id: str, *, keep: bool = False, actor: str) -> int:
    """Take a rule back, and what it has mapped (unless ``keep``: then that is the operator's own from now on); how many it had.

    What was bought by it stays known. Raises MappingRuleNotFound.
    """
    with db.transaction() as tx:
        rule = load_rule(tx, rule_id)
        tx.execute(sa.delete(mapping_rules).where(_r.id == rule_id))
        named = {"of": rule.supplier_id, "rule": rule_id}
        if keep:
            taken = tx.execute(
                sa.update(supplier_mappings)
                .where(_m.supplier_id == rule.supplier_id, _m.mapped_by == rule_id)
                .values(mapped_by=actor)
            ).rowcount
        else:
            taken = tx.execute(_UNDO, named).rowcount
        bump_version(tx, SUPPLY_VERSION)
        details = {**_details(rule), "mappings": taken, "kept": keep}
        audit.append(tx, [audit_entry(clock.now(), actor, "supplier.rule_removed", subject=rule.supplier_id, details=details)])
    return int(taken)


def _details(rule: MappingRule) -> dict[str, Any]:
    hidden = ("supplier_id", "created_by", "created_at")
    return {name: value for name, value in asdict(rule).items() if value is not None and name not in hidden}
