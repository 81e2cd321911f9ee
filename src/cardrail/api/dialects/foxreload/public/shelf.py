"""The catalog as the public surface shows it: a product of theirs is a denomination of ours, categories are a tree of UUIDs.

Built once for each snapshot of the catalog, and without a price in it: prices are the partner's.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.texts import denomination_id
from cardrail.catalog import CatalogSnapshot, Category, Offer, Product
from cardrail.kernel import uuid_of
from cardrail.orders import TEST_SKUS, sandbox_offer

UNCATEGORISED: Final = "00000000-0000-4000-8000-000000000000"
"""The id of the category of products that have none."""

_RESERVED: Final = frozenset({"search", "tree"})
_NO_SLUG: Final = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class Node:
    """A category: its own products as places in ``Shelf.offers``, and the categories on it."""

    id: str
    slug: str
    category: Category | None
    """None: the one of products that have none."""
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    """Its own and those of all categories on it."""


class Shelf:
    """All that is listed, as of one snapshot."""

    def __init__(self, snapshot: CatalogSnapshot, profile: PublicProfile) -> None:
        self.snapshot = snapshot
        self.offers: tuple[Offer, ...] = tuple(
            sorted([one for product in snapshot.all_products for one in product.sellable], key=lambda one: one.denomination_id)
        )
        self._ids = [one.denomination_id for one in self.offers]
        self.slugs = _slugs(self.offers)
        """Denomination → slug."""
        self._by_slug = {slug: offer for offer, slug in zip(self.offers, self.slugs.values(), strict=True)}
        self.nodes = _nodes(snapshot, self.offers, profile.uncategorised_slug)
        """By slug."""
        self._nodes = {one.id: one for one in self.nodes} | {one.slug.lower(): one for one in reversed(self.nodes)}
        self._shelves = {one.category.id if one.category else None: one for one in self.nodes}
        self.kept: dict[object, object] = {}
        """What others remember of this snapshot; it goes with it."""

    def node(self, id_or_slug: str) -> Node | None:
        """A category; its id wins over another one's slug."""
        return self._nodes.get(id_or_slug.lower())

    def node_of(self, product: Product) -> Node | None:
        """Where a product stands."""
        return self._shelves.get(product.category.id if product.category else None) or self._shelves.get(None)

    def product_of(self, offer: Offer) -> Product | None:
        """The product of ours; a reserved sku of test mode has none."""
        return self.snapshot.product(offer.product_id)

    def listed(self, id_or_slug: str, *, wallet: str | None) -> Offer | None:
        """A product on sale by its id or slug; with a wallet's currency, test mode's reserved skus too."""
        found = self.by_id(id_or_slug, wallet=wallet) or self._by_slug.get(id_or_slug.lower())
        if found is None and wallet is not None:
            sku = id_or_slug.upper().replace("-", "_")
            found = sandbox_offer(sku, wallet) if sku in TEST_SKUS else None
        return found

    def by_id(self, text: str, *, wallet: str | None) -> Offer | None:
        """A product on sale by its id."""
        wanted = denomination_id(text)
        if wanted is None:
            return None
        sku = wanted.removeprefix("den_")
        if sku in TEST_SKUS:
            return sandbox_offer(sku, wallet) if wallet is not None else None
        found = self.snapshot.denomination(wanted)
        return found if found is not None and found.is_sellable else None

    def slug(self, offer: Offer) -> str:
        return self.slugs.get(offer.denomination_id) or slug_of(offer.sku)

    def place_after(self, denomination: str) -> int:
        """The place of the first product after this one, by id."""
        return bisect_right(self._ids, denomination)


class Shelves:
    """The shelf of the newest snapshot."""

    def __init__(self, profile: PublicProfile) -> None:
        self._profile = profile
        self._shelf: Shelf | None = None
        self._building = threading.Lock()

    def at_hand(self, snapshot: CatalogSnapshot) -> bool:
        """Whether the shelf of a snapshot is built."""
        return self._shelf is not None and self._shelf.snapshot is snapshot

    def of(self, snapshot: CatalogSnapshot) -> Shelf:
        """The shelf of a snapshot; the first time it takes milliseconds per thousand products."""
        shelf = self._shelf
        if shelf is None or shelf.snapshot is not snapshot:
            with self._building:
                shelf = self._shelf
                if shelf is None or shelf.snapshot is not snapshot:
                    shelf = self._shelf = Shelf(snapshot, self._profile)
        return shelf


def slug_of(sku: str) -> str:
    """Lower-case words joined by hyphens."""
    return _NO_SLUG.sub("-", sku.lower()).strip("-") or "product"


def _slugs(offers: Iterable[Offer]) -> dict[str, str]:
    """A slug for each, from its sku, which never changes; the older one keeps it where two look alike."""
    taken: set[str] = set(_RESERVED)
    slugs: dict[str, str] = {}
    for offer in offers:
        slug = slug_of(offer.sku)
        if slug in taken:
            slug = f"{slug}-{offer.number}"
        taken.add(slug)
        slugs[offer.denomination_id] = slug
    return slugs


def _nodes(snapshot: CatalogSnapshot, offers: Sequence[Offer], uncategorised_slug: str) -> list[Node]:
    """The categories with what stands on them, by slug. One that stands on nothing we know, or on itself, stands at the bottom."""
    nodes: dict[str | None, Node] = {one.id: Node(uuid_of(one.id), one.slug, one) for one in snapshot.categories}
    parents: dict[str, str | None] = {one.id: one.parent_id for one in snapshot.categories}
    for one in snapshot.categories:
        if one.parent_id in nodes and one.parent_id is not None and one.id not in _chain(one.parent_id, parents):
            nodes[one.id].parent = nodes[one.parent_id]
            nodes[one.parent_id].children.append(nodes[one.id])
    for place, offer in enumerate(offers):
        product = snapshot.product(offer.product_id)
        shelf = product.category.id if product is not None and product.category is not None else None
        if shelf not in nodes:
            shelf = None
            nodes.setdefault(None, Node(UNCATEGORISED, uncategorised_slug, None))
        node: Node | None = nodes[shelf]
        assert node is not None
        node.own.append(place)
        while node is not None:
            node.below.append(place)
            node = node.parent
    return sorted(nodes.values(), key=lambda one: one.slug)


def _chain(shelf: str, parents: dict[str, str | None]) -> Iterator[str]:
    """The shelf, what it stands on, and so on; a circle ends."""
    here: str | None = shelf
    for _ in range(len(parents) + 1):
        if here is None:
            return
        yield here
        here = parents.get(here)
