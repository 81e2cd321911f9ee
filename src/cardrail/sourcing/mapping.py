"""Which product of a supplier's is which denomination of ours: said by an operator, or suggested by name and face value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cardrail.catalog import CatalogSnapshot, Offer, UnknownSku
from cardrail.kernel import Clock, Money, currency, format_minor, to_micros
from cardrail.sourcing import products, store
from cardrail.sourcing.errors import MappingNotFound, MappingRefused, SupplierProductNotFound
from cardrail.sourcing.model import Supplier
from cardrail.sourcing.products import KeptProduct, Mapping
from cardrail.sourcing.suppliers import SUPPLY_VERSION, get_supplier
from cardrail.storage import AuditLog, Database, Tx, audit_entry, bump_version

SURE: Final = 80
"""From this likeness on a suggestion may be taken unseen, if nothing else comes near it."""
LIKELY: Final = 50
_CLEAR: Final = 15
_FILLERS: Final = frozenset(
    [
        "card",
        "cards",
        "code",
        "codes",
        "digital",
        "e",
        "egift",
        "egifts",
        "evoucher",
        "gift",
        "giftcard",
        "prepaid",
        "voucher",
        "vouchers",
    ]
)
_WORD: Final = re.compile(r"[^\W_]+")
_NUMBER: Final = re.compile(r"\d+([.,]\d+)?")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A supplier's product, and what of ours it may be."""

    product: KeptProduct
    offer: Offer
    percent: int
    """How alike they are."""
    is_sure: bool


# --- rules ------------------------------------------------------------------------------------------------------------


def misfit(product: KeptProduct, offer: Offer) -> str | None:
    """Why the product cannot be sold as this denomination; None if it can."""
    if product.currency != offer.currency.code:
        return f"its face value is in {product.currency}, that of {offer.sku} in {offer.currency.code}"
    if (product.kind == "topup") != (offer.kind == "topup"):
        return f"it is a {product.kind}, {offer.sku} a {offer.kind}"
    if offer.type == "fixed":
        if offer.face_minor is None or _sells(product, offer.face_minor):
            return None
        return f"it has no face value of {format_minor(offer.face_minor, offer.currency.digits)}"
    if _meet(product, offer):
        return None
    return f"it has no face value that {offer.sku} has"


def suggest(unmapped: Iterable[KeptProduct], snapshot: CatalogSnapshot) -> list[Suggestion]:
    """What each product may be, the best guess only: of the same currency, kind and face value, and of a like name."""
    by_face, ranges = _sorted_offers(snapshot)
    found = []
    for product in unmapped:
        candidates = [*by_face.get((product.currency, product.face_minor), []), *ranges.get(product.currency, [])]
        if product.face_minor is None:
            candidates = [one for (code, _), some in by_face.items() if code == product.currency for one in some]
            candidates += ranges.get(product.currency, [])
        found += _best(product, [one for one in candidates if misfit(product, one.offer) is None])
    return sorted(found, key=lambda one: (-one.percent, one.product.supplier_sku, one.offer.sku))


@dataclass(frozen=True, slots=True)
class _Candidate:
    offer: Offer
    names: tuple[frozenset[str], ...]
    """The words of its name; and those of its brand too."""
    countries: frozenset[str]


def _sorted_offers(
    snapshot: CatalogSnapshot,
) -> tuple[dict[tuple[str, int | None], list[_Candidate]], dict[str, list[_Candidate]]]:
    by_face: dict[tuple[str, int | None], list[_Candidate]] = {}
    ranges: dict[str, list[_Candidate]] = {}
    for product in snapshot.all_products:
        names, countries = _names(product.name, product.brand.name), frozenset(product.countries)
        for offer in product.sellable:
            candidate = _Candidate(offer, names, countries)
            if offer.type == "fixed":
                by_face.setdefault((offer.currency.code, offer.face_minor), []).append(candidate)
            else:
                ranges.setdefault(offer.currency.code, []).append(candidate)
    return by_face, ranges


def _best(product: KeptProduct, candidates: Sequence[_Candidate]) -> list[Suggestion]:
    """The best guess; of a range, the best guess for each of our fixed face values that it covers."""
    if not candidates:
        return []
    names, countries = _names(product.name, product.brand or ""), frozenset(product.countries.split())
    marks: list[tuple[int, _Candidate]] = []
    for one in candidates:
        if not (countries and one.countries and countries.isdisjoint(one.countries)):
            mark = (
                100
                if product.supplier_sku == one.offer.sku
                else max(_likeness(theirs, ours) for theirs in names for ours in one.names)
            )
            if mark >= LIKELY:
                marks.append((mark, one))
    found = []
    for face in {one.offer.face_minor for _, one in marks}:
        some = sorted(
            [pair for pair in marks if pair[1].offer.face_minor == face], key=lambda pair: (-pair[0], pair[1].offer.sku)
        )
        percent, first = some[0]
        is_clear = len(some) == 1 or percent - some[1][0] >= _CLEAR
        found.append(Suggestion(product, first.offer, percent, percent >= SURE and is_clear))
    return found


def _names(name: str, brand: str) -> tuple[frozenset[str], ...]:
    """Some put the brand into the name, some beside it: both ways are compared."""
    return _words(name), _words(name, brand)


def _words(*texts: str) -> frozenset[str]:
    """The words that tell one product from another: without fillers, and without numbers, which are face values."""
    found = {word for text in texts for word in _WORD.findall(text.casefold()) if not _NUMBER.fullmatch(word)}
    return frozenset(found - _FILLERS) or frozenset(found)


def _likeness(theirs: frozenset[str], ours: frozenset[str]) -> int:
    """Common words as a part of all, in percent; currency codes and countries' names that only one of them has cost little."""
    if not theirs or not ours:
        return 0
    common = len(theirs & ours)
    rest = sum(0.3 if len(word) <= 3 else 1 for word in theirs ^ ours)
    return int(100 * common / (common + rest))


def _sells(product: KeptProduct, face_minor: int) -> bool:
    if product.min_minor is None or product.max_minor is None:
        return product.face_minor is None or product.face_minor == face_minor
    step = product.step_minor or 1
    return product.min_minor <= face_minor <= product.max_minor and (face_minor - product.min_minor) % step == 0


def _meet(product: KeptProduct, offer: Offer) -> bool:
    """Whether some face value of our range is the product's too."""
    low, high = offer.min_minor or 0, offer.max_minor if offer.max_minor is not None else 2**63
    if product.min_minor is None or product.max_minor is None:
        return product.face_minor is None or low <= product.face_minor <= high
    return product.min_minor <= high and low <= product.max_minor


# --- use cases --------------------------------------------------------------------------------------------------------


def map_product(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    snapshot: CatalogSnapshot,
    name_or_id: str,
    pairs: Sequence[tuple[str, str]],
    *,
    actor: str,
    cost: Money | None = None,
    is_enabled: bool = True,
) -> list[Mapping]:
    """Say that these of the supplier's products are these skus of ours: all of them, or none.

    ``cost``: of one unit, by hand, where the supplier tells neither catalog nor cost; then its product need not be known yet.
    Raises SupplierNotFound, UnknownSku, SupplierProductNotFound, MappingRefused.
    """
    now = clock.now()
    at = to_micros(now)
    with db.transaction() as tx:
        supplier = get_supplier(tx, name_or_id)
        known: dict[str, KeptProduct] = {}
        for some in products.in_chunks({theirs for theirs, _ in pairs}):
            known |= products.lock_products(tx, supplier.id, some)
        made = []
        for theirs, ours in pairs:
            offer = snapshot.offer(ours)
            if offer is None:
                raise UnknownSku(sku=ours)
            product = known.get(theirs)
            if cost is not None:
                product = known[theirs] = _by_hand(supplier, theirs, offer, product, cost, at)
                products.write_products(tx, [product])
            if product is None:
                raise SupplierProductNotFound(supplier=supplier.name, sku=theirs)
            why = misfit(product, offer)
            if why is not None:
                raise MappingRefused(supplier=supplier.name, sku=theirs, reason=why)
            made.append(Mapping(offer.denomination_id, supplier.id, theirs, is_enabled, actor, at))
        for one in made:
            store.put_mapping(
                tx, one.denomination_id, one.supplier_id, one.supplier_sku, is_enabled=is_enabled, mapped_by=actor, at=at
            )
        bump_version(tx, SUPPLY_VERSION)
        details = {"name": supplier.name, "mapped": [list(pair) for pair in pairs], "is_enabled": is_enabled}
        if cost is not None:
            details["cost"] = f"{cost.amount} {cost.currency.code}"
        audit.append(tx, [audit_entry(now, actor, "supplier.mapped", subject=supplier.id, details=details)])
    return made


def unmap_product(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    snapshot: CatalogSnapshot,
    name_or_id: str,
    supplier_sku: str,
    sku: str | None,
    *,
    actor: str,
) -> list[Mapping]:
    """End a product's mapping to one sku, or to all. What was bought by it stays. Raises SupplierNotFound, UnknownSku, MappingNotFound."""
    offer = snapshot.offer(sku) if sku is not None else None
    if sku is not None and offer is None:
        raise UnknownSku(sku=sku)
    with db.transaction() as tx:
        supplier = get_supplier(tx, name_or_id)
        ended = [
            one
            for one in products.load_mappings(tx, supplier.id)
            if one.supplier_sku == supplier_sku
            and one.is_enabled
            and (offer is None or one.denomination_id == offer.denomination_id)
        ]
        if not ended:
            raise MappingNotFound(supplier=supplier.name, supplier_sku=supplier_sku, **({} if sku is None else {"sku": sku}))
        at, has_rules = to_micros(clock.now()), store.has_rules(tx, supplier.id)
        for one in ended:
            if has_rules:  # one of them would map it at the next sync: the operator's no stays
                store.put_mapping(
                    tx, one.denomination_id, one.supplier_id, one.supplier_sku, is_enabled=False, mapped_by=actor, at=at
                )
            else:
                products.delete_mapping(tx, one)
        bump_version(tx, SUPPLY_VERSION)
        details = {"name": supplier.name, "supplier_sku": supplier_sku, "denominations": [one.denomination_id for one in ended]}
        audit.append(tx, [audit_entry(clock.now(), actor, "supplier.unmapped", subject=supplier.id, details=details)])
    return ended


def unmapped(tx: Tx, supplier_id: str) -> Iterator[KeptProduct]:
    """What the supplier sells that is nothing of ours yet."""
    mapped = products.mapped_skus(tx, supplier_id)
    return (one for one in products.load_products(tx, supplier_id) if one.supplier_sku not in mapped)


def _by_hand(supplier: Supplier, theirs: str, offer: Offer, known: KeptProduct | None, cost: Money, at: int) -> KeptProduct:
    """The supplier's product with a cost that an operator gave, made up from the denomination where it is not known."""
    if known is not None:
        freed = replace(known, cost_minor=cost.minor, cost_bps=None, cost_currency=cost.currency.code, updated_at=at)
        return replace(freed, held_cost_minor=None, held_cost_bps=None)
    return KeptProduct(
        supplier_id=supplier.id,
        supplier_sku=theirs,
        name=offer.name,
        brand=None,
        category=None,
        kind=offer.kind,
        countries="",
        currency=offer.currency.code,
        face_minor=offer.face_minor,
        min_minor=offer.min_minor,
        max_minor=offer.max_minor,
        step_minor=offer.step_minor,
        cost_minor=cost.minor,
        cost_bps=None,
        cost_currency=currency(cost.currency.code).code,
        stock=None,
        is_available=True,
        held_cost_minor=None,
        held_cost_bps=None,
        fields=None,
        updated_at=at,
        seen_at=at,
    )
