"""What is sold: from the snapshot in memory, in pages that are encoded once per version of the catalog."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from cardrail import __version__
from cardrail.api.desk import (
    Desk,
    HttpRequest,
    answer,
    describe,
    desk_of,
    json_answer,
    money_in,
    principal_of,
    query_of,
)
from cardrail.api.http import parse_moment
from cardrail.api.render import brand_out, category_tree, encode, money, price_out, product_out
from cardrail.api.wire import CatalogOut, ListOut, PriceOut, PriceQuery, ProductOut, ProductQuery, StockOut, StockQuery
from cardrail.catalog import CatalogSnapshot, Offer, ProductFilter, ProductNotFound, UnknownSku
from cardrail.kernel import Mode, currency, from_micros, is_id, to_micros
from cardrail.orders import Behaviour, behaviour_of, sandbox_offer, sandbox_price, sellable_counts

PAGES_KEPT_MAX: Final = 2_048
PAGE_BYTES_KEPT_MAX: Final = 128 * 1024 * 1024
TEST_STOCK: Final = 1_000
"""What test keys see of any sku: their codes are made, so this is no count."""

_STABLE: Final = timedelta(seconds=2)
"""How old a snapshot must be before its age, in whole seconds, tells it from the one before."""


class Pages:
    """Encoded answers about the catalog, kept while its snapshot is the newest; the longest unused goes first."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._snapshot: CatalogSnapshot | None = None
        self._since = datetime.fromtimestamp(0, UTC)
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def since(self, snapshot: CatalogSnapshot, now: datetime) -> datetime:
        """When this snapshot was first shown here; what was kept of another is forgotten."""
        with self._guard:
            if snapshot is not self._snapshot:
                self._snapshot, self._since, self._bytes = snapshot, now, 0
                self._kept.clear()
            return self._since

    def get(self, snapshot: CatalogSnapshot, key: bytes) -> bytes | None:
        """The encoded answer for a key, if it is there."""
        with self._guard:
            found = self._kept.get(key) if snapshot is self._snapshot else None
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, snapshot: CatalogSnapshot, key: bytes, made: bytes) -> None:
        """Keep an answer, unless its snapshot is no longer the newest."""
        with self._guard:
            if snapshot is self._snapshot and key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made)
                while len(self._kept) > PAGES_KEPT_MAX or self._bytes > PAGE_BYTES_KEPT_MAX:
                    self._bytes -= len(self._kept.popitem(last=False)[1])


def _pages_of(request: HttpRequest) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


async def _shown(request: HttpRequest, name: str, query: Any, make: Callable[[Desk, CatalogSnapshot], Any]) -> Response[bytes]:
    """The answer about the catalog, or 304 where the caller has it already.

    ETag: version, day and question. Last-Modified only once a second of its own tells this snapshot from the one before.
    """
    desk, pages = desk_of(request), _pages_of(request)
    snapshot = desk.parts.catalog.current()
    now = desk.parts.clock.now()
    since = pages.since(snapshot, now)
    asked = encode([__version__, snapshot.version, snapshot.day.isoformat(), name, query])
    headers = {
        "etag": f'"{blake2b(asked, digest_size=12).hexdigest()}"',
        "cache-control": "private, no-cache",
        "vary": "authorization",
    }
    if now - since > _STABLE:
        headers["last-modified"] = format_datetime(since.replace(microsecond=0), usegmt=True)
    unchanged = Response(b"", status_code=304, headers=headers, media_type="application/json")
    if headers["etag"] in _tags(request):
        return unchanged
    body = pages.get(snapshot, asked)
    if body is None:  # some milliseconds of work: on a thread, so that orders need not wait for it
        body = await desk.read(lambda: encode(make(desk, snapshot)))
        pages.keep(snapshot, asked, body)
    # Only now: "*" and a date may be asked of what is not there.
    return unchanged if _is_known(request, headers) else json_answer(body, headers=headers)


def _tags(request: HttpRequest) -> list[str]:
    given = request.headers.get("if-none-match", "")
    return [one.strip().removeprefix("W/") for one in given.split(",")]


def _is_known(request: HttpRequest, headers: dict[str, str]) -> bool:
    """Whether the caller's copy is this one: by its ETag if he names one, else by its time."""
    if request.headers.get("if-none-match") is not None:
        return "*" in (tags := _tags(request)) or headers["etag"] in tags
    since, modified = request.headers.get("if-modified-since"), headers.get("last-modified")
    if since is None or modified is None:
        return False
    try:
        return parsedate_to_datetime(since) >= parsedate_to_datetime(modified)
    except (ValueError, TypeError, OverflowError):
        return False


def _product_page(desk: Desk, snapshot: CatalogSnapshot, query: ProductQuery) -> ListOut[ProductOut]:
    scope = f"products|{encode(msgspec.structs.replace(query, cursor=None, limit=1)).decode()}"
    after = desk.parts.cursors.open(scope, query.cursor) if query.cursor is not None else None
    wanted = ProductFilter(
        brand=query.brand,
        category=query.category,
        country=query.country,
        currency=query.currency,
        kind=query.kind,
        search=query.q,
        updated_since=from_micros(parse_moment(query.updated_since, "updated_since")) if query.updated_since else None,
    )
    page = snapshot.products(wanted, after=after, limit=query.limit)
    following = desk.parts.cursors.seal(scope, page.after) if page.after is not None else None
    return ListOut([product_out(one) for one in page.products], following)


@get(
    "/v1/products",
    opt=describe(
        "List products",
        ListOut[ProductOut],
        tag="Catalog",
        scope="catalog:read",
        query=ProductQuery,
        errors=("invalid_cursor",),
        description="With `updated_since` also what was retired since: a tombstone has `retired_at` and no denominations. "
        "Answers carry an `ETag`; send it back as `If-None-Match` and an unchanged page is a 304.",
    ),
)
async def list_products(request: HttpRequest) -> Response[bytes]:
    """A page of products, by id."""
    query = query_of(request, ProductQuery)
    return await _shown(request, "products", query, lambda desk, snapshot: _product_page(desk, snapshot, query))


@get(
    "/v1/catalog",
    opt=describe(
        "See the whole shop window",
        CatalogOut,
        tag="Catalog",
        scope="catalog:read",
        query=ProductQuery,
        errors=("invalid_cursor",),
        description="Categories as a tree, all brands, and a page of products that takes the same parameters as `/v1/products`.",
    ),
)
async def show_catalog(request: HttpRequest) -> Response[bytes]:
    """Categories, brands, and a page of products."""
    query = query_of(request, ProductQuery)

    def make(desk: Desk, snapshot: CatalogSnapshot) -> CatalogOut:
        return CatalogOut(
            version=snapshot.version,
            categories=category_tree(snapshot.categories),
            brands=[brand_out(one) for one in snapshot.brands],
            products=_product_page(desk, snapshot, query),
        )

    return await _shown(request, "catalog", query, make)


@get(
    "/v1/products/{product:str}",
    opt=describe(
        "See a product",
        ProductOut,
        tag="Catalog",
        scope="catalog:read",
        errors=("product_not_found",),
        description="By its id or its code. What was sold once can be seen for ever: a retired product has `retired_at`.",
    ),
)
async def show_product(request: HttpRequest, product: FromPath[str]) -> Response[bytes]:
    """One product."""
    query_of(request, _Nothing)

    def make(_desk: Desk, snapshot: CatalogSnapshot) -> ProductOut:
        found = snapshot.product(product) if is_id("prd", product) else None
        found = found or snapshot.product_by_code(product)
        if found is None:
            raise ProductNotFound(product=product[:128])
        return product_out(found)

    return await _shown(request, "product", product, make)


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A query without parameters."""


@get(
    "/v1/stock/{sku:str}",
    opt=describe(
        "See what is in stock",
        StockOut,
        tag="Catalog",
        scope="catalog:read",
        query=StockQuery,
        errors=("unknown_sku", "face_value_required", "invalid_face_value", "invalid_amount"),
        description="A moment's view: only an order takes from the stock. "
        "Test keys always see 1,000, because test codes are made, and 0 of `TEST_OUT_OF_STOCK`.",
    ),
)
async def show_stock(request: HttpRequest, sku: FromPath[str]) -> Response[bytes]:
    """How many units could be delivered now."""
    query = query_of(request, StockQuery)
    desk, principal = desk_of(request), principal_of(request)
    mode, behaviour = principal.mode, behaviour_of(sku, principal.mode)
    offer, face_minor = _offer_and_face(desk, sku, behaviour, principal.currency, query.face_value)
    count = 0 if behaviour is Behaviour.OUT_OF_STOCK else TEST_STOCK
    if mode is Mode.LIVE:
        now = to_micros(desk.parts.clock.now())

        def look() -> int:
            with desk.parts.db.read() as tx:
                found = sellable_counts(tx, desk.parts.catalog.current(), mode, [offer.denomination_id], now)
                return found.get((offer.denomination_id, face_minor), 0)

        count = await desk.read(look)
    return answer(StockOut(offer.sku, money(face_minor, offer.currency.code), count, count > 0))


@get(
    "/v1/prices/{sku:str}",
    opt=describe(
        "See what a sku costs you",
        PriceOut,
        tag="Catalog",
        scope="catalog:read",
        query=PriceQuery,
        errors=(
            "unknown_sku",
            "face_value_required",
            "invalid_face_value",
            "invalid_amount",
            "unknown_currency",
            "price_unavailable",
            "no_exchange_rate",
            "below_cost",
        ),
        description="Today's price in the currency of your wallet. `POST /v1/quotes` makes it hold for 15 minutes.",
    ),
)
async def show_price(request: HttpRequest, sku: FromPath[str]) -> Response[bytes]:
    """What a line of this sku costs, and what that is made of."""
    query = query_of(request, PriceQuery)
    desk, principal = desk_of(request), principal_of(request)
    wallet = currency(query.currency).code if query.currency else principal.currency
    behaviour = behaviour_of(sku, principal.mode)
    offer, face_minor = _offer_and_face(desk, sku, behaviour, wallet, query.face_value)
    if behaviour is Behaviour.REAL:
        price = desk.parts.catalog.current().unit_price(
            offer, face_minor, partner_id=principal.partner_id, price_list_id=principal.price_list_id, currency=wallet
        )
    else:
        price = sandbox_price(offer)
    return answer(price_out(offer.sku, query.quantity, face_minor, offer.currency, price))


def _offer_and_face(desk: Desk, sku: str, behaviour: Behaviour, wallet: str, face_value: str | None) -> tuple[Offer, int]:
    """What a sku stands for, one of the test skus too. Raises UnknownSku, FaceValueRequired, InvalidFaceValue, InvalidAmount."""
    snapshot = desk.parts.catalog.current()
    offer = snapshot.offer(sku) if behaviour is Behaviour.REAL else sandbox_offer(sku, wallet)
    if offer is None or not offer.is_sellable:
        raise UnknownSku(sku=sku[:128])
    given = money_in(face_value, offer.currency.code, offer.currency.digits, "face_value") if face_value is not None else None
    return offer, snapshot.face_of(offer, given)


CATALOG_ROUTES: Final = (show_catalog, list_products, show_product, show_stock, show_price)
