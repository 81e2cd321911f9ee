"""What a recipient sees: a page with a button, and behind the button his codes.

Link previews and mail scanners fetch pages, and press no buttons: GET changes nothing, and only POST opens the claim. The page loads
nothing from elsewhere, tells nobody where it was (no referrer), is kept by no cache and no search engine, and works without a script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qs

from babel import Locale
from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.access import TooManyRequests, neighbourhood
from cardrail.api.claim.words import WORDS, language_of
from cardrail.api.desk import Desk, HttpRequest, describe, desk_of
from cardrail.api.errors import RouteNotFound
from cardrail.api.http import header, read_body
from cardrail.catalog import CatalogSnapshot, Product
from cardrail.delivery import (
    RIGHT_TO_LEFT,
    WHITE,
    Claim,
    ClaimEmpty,
    ClaimExpired,
    ClaimLocked,
    ClaimNotFound,
    ClaimRevoked,
    PinRequired,
    Protection,
    WrongPin,
    draw_barcode,
    find_claim,
    open_claim,
    readable_on,
)
from cardrail.kernel import CardrailError, Mode, PlainCode, currency, format_minor, from_micros, to_micros
from cardrail.orders import Order, find_orders, open_codes
from cardrail.vault import NEVER

FOLDER: Final = Path(__file__).parent
BODY_MAX: Final = 256
SCANS_MAX: Final = 100
"""Drawings on one page, a few milliseconds each: nobody has a thousand codes scanned one by one."""
LOOKS_PER_MINUTE: Final = 60
"""Requests to claim pages from one address."""

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow, noarchive",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "content-language": "",
}
_GONE: Final = (ClaimNotFound, ClaimExpired, ClaimRevoked, ClaimEmpty)
_PIN: Final = re.compile(r"[0-9]{4,12}")
_TYPES: Final = {".css": "text/css", ".js": "text/javascript"}
_LOGO_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Brand:
    """The operator's own face."""

    name: str
    contact: str
    has_logo: bool


@dataclass(frozen=True, slots=True)
class ShownScan:
    """What a till scans, as an SVG's parts."""

    label: str
    shape: str
    width: int
    height: int
    path: str


@dataclass(frozen=True, slots=True)
class ShownCode:
    """One code as the page shows it."""

    parts: list[tuple[str, str]]
    url: str | None
    expires: str | None
    scan: ShownScan | None


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One line as the page shows it."""

    name: str
    value: str
    count: int
    codes: list[ShownCode]
    instructions: str | None
    terms: str | None


@get("/c/{token:str}", opt=describe("A claim page", "text/html", tag="Claims", is_public=True, is_page=True))
async def show_claim(request: HttpRequest, token: FromPath[str]) -> Response[str]:
    """The page of a link, before anything is opened."""
    desk = desk_of(request)
    await _count(desk, request)
    parts = desk.parts
    try:
        claim, order = await desk.read(lambda: _look(desk, token))
    except _GONE:
        return _gone(request)
    return _page(request, claim, order, _items(parts.catalog.current(), claim, order, _language(request, claim)))


@post("/c/{token:str}", status_code=200, opt=describe("Open a claim", "text/html", tag="Claims", is_public=True, is_page=True))
async def open_page(request: HttpRequest, token: FromPath[str]) -> Response[str]:
    """The codes, for whoever pressed the button (and knows the PIN)."""
    desk = desk_of(request)
    await _count(desk, request)
    parts, pin = desk.parts, await _pin_in(request)
    origin = desk.gate.origin_of(request.scope)
    try:
        claim, order = await desk.write(
            lambda: open_claim(parts.db, parts.clock, parts.audit, parts.links, token, pin, origin=origin)
        )
    except _GONE:
        return _gone(request)
    except (PinRequired, WrongPin, ClaimLocked) as refusal:
        return await _asked_again(request, token, refusal)
    language = _language(request, claim)
    snapshot = parts.catalog.current()
    items = await desk.on_thread(lambda: _items(snapshot, claim, order, language, desk))
    return _page(request, claim, order, items, has_codes=True)


@get(
    "/c/-/{name:str}",
    opt=describe("A file of the claim page", "application/octet-stream", tag="Claims", is_public=True, is_page=True),
)
async def show_file(request: HttpRequest, name: FromPath[str]) -> Response[bytes]:
    """Style, script, logo: the same for everybody."""
    settings = desk_of(request).parts.settings
    if name == "brand.css":
        found: tuple[bytes, str] | None = (_brand_style(settings.brand_color).encode(), _TYPES[".css"])
    elif name == "icon.svg":
        found = (_icon(settings.brand_color).encode(), "image/svg+xml")
    elif name == "logo":
        found = _logo(settings.brand_logo) if settings.brand_logo is not None else None
    else:
        found = _files().get(name)
    if found is None:
        raise RouteNotFound
    return Response(found[0], media_type=found[1], headers={"cache-control": "public, max-age=3600"})


# --- what is shown ----------------------------------------------------------------------------------------------------


def _look(desk: Desk, token: str) -> tuple[Claim, Order]:
    parts = desk.parts
    claim = find_claim(parts.db, parts.links, token, to_micros(parts.clock.now()))
    found = find_orders(parts.db, ids=[claim.order_id])
    if not found:
        raise ClaimNotFound
    return claim, found[0]


def _items(snapshot: CatalogSnapshot, claim: Claim, order: Order, language: str, desk: Desk | None = None) -> list[ShownItem]:
    """The lines behind a claim in its reader's language; with a desk, the codes that were read with them."""
    shown: list[ShownItem] = []
    left = SCANS_MAX
    for item in order.items:
        if claim.line not in (0, item.line) or not item.delivered:
            continue
        product = _product_of(snapshot, item.denomination_id)
        texts = product.translations.get(language) if product is not None else None
        spare = product.translations.get("en") if product is not None else None
        opened: Sequence[tuple[PlainCode, int]] = open_codes(desk.parts.opener, item) if desk is not None else ()
        shown.append(
            ShownItem(
                name=(texts.name if texts is not None and texts.name else item.name),
                value=_value(item.face_minor, item.face_currency, language),
                count=1 if claim.unit else item.delivered,
                codes=[
                    _shown(code, expires, language, product.barcode if product is not None and place < left else None)
                    for place, (code, expires) in enumerate(opened)
                ],
                instructions=_either(texts, spare, "instructions"),
                terms=_either(texts, spare, "terms"),
            )
        )
        left -= len(opened) if product is not None and product.barcode is not None else 0
    return shown


def _either(texts: Any, spare: Any, name: str) -> str | None:
    found: str | None = getattr(texts, name, None) or getattr(spare, name, None)
    return found


def _product_of(snapshot: CatalogSnapshot, denomination_id: Any) -> Product | None:
    offer = snapshot.denomination(denomination_id)
    return snapshot.product(offer.product_id) if offer is not None else None


def _value(minor: int, code: str, language: str) -> str:
    """A face value as its reader writes money: no decimals where there are none to tell."""
    amount = Decimal(format_minor(minor, currency(code).digits))
    pattern = copy(Locale.parse(language).currency_formats["standard"])
    places = 0 if amount == amount.to_integral_value() else currency(code).digits
    pattern.frac_prec = (places, places)
    text: str = pattern.apply(amount, language, currency=code, currency_digits=False)
    return text


def _scan(kind: str | None, code: PlainCode, words: dict[str, str]) -> ShownScan | None:
    """The drawing of a code (of a link where there is nothing else), if its product wants one and the kind can hold it."""
    drawn = draw_barcode(kind, code.code or code.url or "") if kind is not None else None
    if drawn is None:
        return None
    is_square = drawn.kind == "QR"
    label = words["drawing"].format(kind=words["qr" if is_square else "bars"])
    return ShownScan(label, "square" if is_square else "bars", *drawn.size, drawn.path())


def _shown(code: PlainCode, expires: int, language: str, barcode: str | None) -> ShownCode:
    words = WORDS[language]
    named = ((words["code"], code.code), (words["pin"], code.pin), (words["serial"], code.serial))
    return ShownCode(
        parts=[(label, text) for label, text in named if text],
        url=code.url if code.url and _WEB.match(code.url) else None,
        expires=None if expires >= NEVER else format_date(from_micros(expires).astimezone(UTC), "long", locale=language),
        scan=_scan(barcode, code, words),
    )


def _page(
    request: HttpRequest,
    claim: Claim,
    order: Order,
    items: list[ShownItem],
    *,
    has_codes: bool = False,
    problem: str | None = None,
    status: int = 200,
) -> Response[str]:
    facts = {
        "gone": False,
        "items": items,
        "codes": has_codes,
        "count": sum([item.count for item in items]),
        "recipient": claim.recipient,
        "is_test": order.mode is Mode.TEST,
        "is_protected": claim.protection is Protection.PROTECTED,
        "problem": problem,
    }
    return _rendered(request, _language(request, claim), facts, status)


def _gone(request: HttpRequest) -> Response[str]:
    """One page for whatever leads nowhere, so that it does not tell which links there ever were."""
    return _rendered(request, _language(request, None), {"gone": True, "codes": False}, 404)


async def _asked_again(request: HttpRequest, token: str, refusal: CardrailError) -> Response[str]:
    desk = desk_of(request)
    try:
        claim, order = await desk.read(lambda: _look(desk, token))
    except _GONE:
        return _gone(request)
    language = _language(request, claim)
    words, problem, status = WORDS[language], None, 403
    if isinstance(refusal, WrongPin):
        problem = words["wrong_pin"].format(left=refusal.facts["left"])
    elif isinstance(refusal, ClaimLocked):
        problem = words["locked"].format(minutes=-(-int(str(refusal.facts["retry_after"])) // 60))
        status = 429
    items = _items(desk.parts.catalog.current(), claim, order, language)
    return _page(request, claim, order, items, problem=problem, status=status)


def _rendered(request: HttpRequest, language: str, facts: dict[str, Any], status: int) -> Response[str]:
    settings = desk_of(request).parts.settings
    text = (
        _template()
        .get_template("page.html")
        .render(
            language=language,
            direction="rtl" if language in RIGHT_TO_LEFT else "ltr",
            words=SimpleNamespace(**WORDS[language]),  # not the dict: there, ``words.copy`` is a method
            brand=Brand(settings.brand_name, settings.brand_contact, settings.brand_logo is not None),
            **facts,
        )
    )
    return Response(text, status_code=status, media_type="text/html", headers=HEADERS | {"content-language": language})


def _language(request: HttpRequest, claim: Claim | None) -> str:
    accept = header(request.scope["headers"], b"accept-language")
    return language_of(claim.language if claim is not None else None, accept.decode("latin-1") if accept else None)


# --- what is asked ----------------------------------------------------------------------------------------------------


async def _count(desk: Desk, request: HttpRequest) -> None:
    """Few people open sixty gifts a minute. Raises TooManyRequests."""
    rate = await desk.gate.count("claim", neighbourhood(desk.gate.origin_of(request.scope)), LOOKS_PER_MINUTE, 60)
    if rate is not None and not rate.allowed:
        raise TooManyRequests(limit=rate.limit, retry_after=rate.reset_seconds)


async def _pin_in(request: HttpRequest) -> str | None:
    """The form's PIN; None where there is none that could be one."""
    body = await read_body(request.receive, BODY_MAX)
    try:
        given = parse_qs(body.decode("ascii", "replace"), max_num_fields=4).get("pin", [""])[0].strip()
    except ValueError:  # more members than the form has
        return None
    return given if _PIN.fullmatch(given) else None


def _brand_style(colour: str) -> str:
    """The operator's colour, what is written on it, and the shade that crosses a card without making it harder to read."""
    text = readable_on(colour)
    sheen = "rgb(0 0 0 / .24)" if text == WHITE else "rgb(255 255 255 / .35)"
    return f":root {{ --brand: {colour}; --on-brand: {text}; --sheen: {sheen}; }}\n"


def _icon(colour: str) -> str:
    """A card in the operator's colour, for the browser's tab."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect x="2" y="6" width="28" height="20" rx="4" fill="{colour}"/><path d="M2 12h28" stroke="#fff" stroke-width="3"/></svg>'
    )


@cache
def _template() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    return {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}


@cache
def _logo(path: Path) -> tuple[bytes, str] | None:
    """The operator's logo; None where it is no picture that we know."""
    media_type = _LOGO_TYPES.get(path.suffix.lower())
    if media_type is None or not path.is_file():
        return None
    return path.read_bytes(), media_type


CLAIM_PAGES: Final = (show_claim, open_page, show_file)
