"""The file that describes a supplier: TOML, read strictly. What is wrong with it is said with its line. No secret belongs in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from cardrail.kernel import CardrailError, currency
from cardrail.sourcing.connector import RefusalKind
from cardrail.sourcing.connectors.rest.paths import (
    Path,
    Template,
    compiled,
    parse_path,
    parse_template,
    variables_in,
)
from cardrail.sourcing.errors import InvalidSupplierConfig

EXAMPLE: Final = FilePath(__file__).with_name("example.toml").read_text(encoding="utf-8")
"""A whole file, with a comment on everything."""

SIZE_MAX: Final = 256_000
SECRETS: Final = ("key", "secret", "username", "password")
"""What an operator may seal with the supplier; only [auth] uses them."""

Meaning = Literal["delivered", "partial", "accepted", "refused"]
Refusal = Literal["out_of_stock", "no_funds", "price", "invalid", "closed", "busy", "failed"]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]

_REQUEST: Final = (
    "reference", "sku", "quantity", "face", "face_currency", "max_cost", "currency", "country", "customer_id", "mode", "fields",
)  # fmt: skip
_ORDER: Final = (*_REQUEST, "order_id")
_PAGED: Final = ("page", "offset", "page_size", "cursor")
VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "place": _REQUEST,
    "status": _ORDER,
    "cards": _ORDER,
    "lookup": _ORDER,
    "invalidate": _ORDER,
    "balance": ("currency", "mode"),
    "catalog": ("currency", "mode", *_PAGED),
    "stock": ("sku", "currency", "mode"),
    "price": ("sku", "quantity", "face", "face_currency", "currency", "mode"),
    "statement": ("currency", "mode", "since", "until", *_PAGED),
}
"""Which variables each call may use; ``field.<name>``, a field that the buyer typed, wherever ``fields`` may stand."""

_NEVER_A_NO: Final = frozenset({408, 409, 425, 429})
"""These say nothing about an earlier request, or that there was one."""
_NEVER_ABSENT: Final = _NEVER_A_NO | {401, 403}
"""These say nothing about whether there is an order."""
_TELLTALE: Final = re.compile(r"auth|key|token|secret|passw|cookie|session", re.IGNORECASE)
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Auth(_Part, frozen=True):
    """How it knows us. The values come from the supplier's sealed secrets."""

    kind: Literal["none", "bearer", "basic", "headers"] = "none"
    headers: dict[str, str] = {}  # msgspec copies it


class MoneyIs(_Part, frozen=True):
    unit: Literal["decimal", "minor"] = "decimal"


class Limits(_Part, frozen=True):
    call_seconds: Annotated[float, msgspec.Meta(ge=1, le=120)] = 30.0
    settle_seconds: Seconds = 60.0
    unknown_seconds: Seconds = 7_200.0
    poll_seconds: Seconds = 5.0
    poll_seconds_max: Seconds = 60.0
    accepted_seconds: Seconds = 86_400.0


class OrderIs(_Part, frozen=True):
    """How an order is read, wherever one is shown."""

    id: str | None = None
    status: str | None = None
    statuses: dict[str, Meaning] = {}  # msgspec copies it
    codes: str | None = None
    code: str | None = None
    pin: str | None = None
    serial: str | None = None
    url: str | None = None
    expires_at: str | None = None
    cost: str | None = None
    reference: str | None = None
    receipt: str | None = None


class Errors(_Part, frozen=True):
    """Which answers are a no. All others are unknown."""

    code: str | None = None
    refusals: dict[str, Refusal] = {}  # msgspec copies it
    by_status: dict[str, Refusal] = {}  # msgspec copies it


class Endpoint(_Part, frozen=True, kw_only=True):
    path: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, str] = {}  # msgspec copies it
    headers: dict[str, str] = {}  # msgspec copies it
    body: dict[str, Any] | None = None
    at: str = ""


class Place(Endpoint, frozen=True, kw_only=True):
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    is_idempotent: bool = False
    obeys_max_cost: bool = False
    quantity_max: Count = 1_000


class Look(Endpoint, frozen=True, kw_only=True):
    rows: str | None = None
    not_found: list[Annotated[int, msgspec.Meta(ge=400, le=499)]] = []  # msgspec copies it
    not_found_codes: list[str] = []  # msgspec copies it


class Invalidate(Endpoint, frozen=True, kw_only=True):
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    done: list[str] = []  # msgspec copies it
    done_http: list[Annotated[int, msgspec.Meta(ge=200, le=299)]] = []  # msgspec copies it


class Balance(Endpoint, frozen=True, kw_only=True):
    amount: str
    currency: str | None = None
    rows: str | None = None


class Paged(Endpoint, frozen=True, kw_only=True):
    rows: str = ""
    paging: Literal["none", "page", "offset", "cursor"] = "none"
    page_size: Count = 100
    first_page: Annotated[int, msgspec.Meta(ge=0, le=1)] = 1
    next: str | None = None


class ProductIs(_Part, frozen=True):
    sku: str
    name: str | None = None
    brand: str | None = None
    category: str | None = None
    countries: str | None = None
    currency: str | None = None
    currency_is: str | None = None
    face: str | None = None
    min: str | None = None
    max: str | None = None
    step: str | None = None
    cost: str | None = None
    cost_percent: str | None = None
    stock: str | None = None
    available: str | None = None
    kind_is: Literal["code", "link", "topup"] = "code"


class Catalog(Paged, frozen=True, kw_only=True):
    product: ProductIs


class Stock(Endpoint, frozen=True, kw_only=True):
    stock: str


class Price(Endpoint, frozen=True, kw_only=True):
    amount: str
    of: Literal["unit", "order"] = "order"


class LineIs(_Part, frozen=True):
    moment: str
    amount: str
    id: str | None = None
    reference: str | None = None
    type: str | None = None
    types: dict[str, Literal["order", "refund", "topup", "other"]] = {}  # msgspec copies it


class Statement(Paged, frozen=True, kw_only=True):
    line: LineIs


class Described(_Part, frozen=True, kw_only=True):
    """The whole file."""

    base_url: str
    place: Place
    order: OrderIs
    name: str = ""
    headers: dict[str, str] = {}  # msgspec copies it
    auth: Auth = Auth()
    money: MoneyIs = MoneyIs()
    limits: Limits = Limits()
    errors: Errors = Errors()
    status: Look | None = None
    lookup: Look | None = None
    cards: Endpoint | None = None
    invalidate: Invalidate | None = None
    balance: Balance | None = None
    catalog: Catalog | None = None
    stock: Stock | None = None
    price: Price | None = None
    statement: Statement | None = None


CALLS: Final = tuple(VARIABLES)


@dataclass(frozen=True, slots=True)
class Call:
    """One endpoint, compiled."""

    method: str
    path: Template
    query: dict[str, Template]
    headers: dict[str, Template]
    body: Any
    at: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """A file that can be used: all templates and paths are compiled, and it holds together."""

    file: Described
    calls: dict[str, Call]
    paths: dict[str, Path]
    """Every path of the file, by where it stands: ``order.codes``, ``catalog.product.sku``."""
    auth_headers: dict[str, Template]
    statuses: dict[str, Meaning]
    """Their word, in lower case."""
    refusals: dict[str, RefusalKind]
    refusals_by_status: dict[int, RefusalKind]
    secrets: frozenset[str] = field(default_factory=frozenset)
    """Which of SECRETS are needed."""


class _Wrong(Exception):  # never leaves this module
    def __init__(self, where: str, reason: str) -> None:
        super().__init__(reason)
        self.where, self.reason = where, reason


def read_file(name: object) -> Plan:
    """The file of this name, ready to be used. Raises InvalidSupplierConfig."""
    if not isinstance(name, str) or not FilePath(name).is_absolute():
        raise InvalidSupplierConfig(field="file", reason="an absolute path: servers and workers read it too")
    try:
        with FilePath(name).open("rb") as file:
            raw = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise InvalidSupplierConfig(field="file", reason=f"it cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidSupplierConfig(field="file", line=raw[: error.start].count(b"\n") + 1, reason="it is not UTF-8") from None
    if len(raw) > SIZE_MAX:
        raise InvalidSupplierConfig(field="file", reason=f"more than {SIZE_MAX} bytes")
    return parse_file(text)


def parse_file(text: str) -> Plan:
    """The text of a file, ready to be used. Raises InvalidSupplierConfig with the line."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        reason = re.sub(r" \(at .*\)$", "", str(error))
        line = int(where[1]) if where else len(text.splitlines())
        raise InvalidSupplierConfig(field="file", line=line, reason=f"not TOML: {reason}") from None
    try:
        described = msgspec.convert(found, Described)
        return _plan(described)
    except msgspec.ValidationError as error:
        raise InvalidSupplierConfig(field="file", **_located(text, found, error)) from None
    except _Wrong as wrong:
        line = line_of(text, wrong.where.split("."))
        raise InvalidSupplierConfig(field="file", line=line, where=wrong.where, reason=wrong.reason) from None


# --- holding together -------------------------------------------------------------------------------------------------


def _plan(file: Described) -> Plan:
    """Raises _Wrong."""
    url = urlsplit(file.base_url)
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise _Wrong("base_url", "an address like https://api.supplier.example/v2, without user, query and fragment")
    _check_headers("headers", file.headers)
    secrets = _auth(file.auth)
    calls = {name: _call(name, getattr(file, name)) for name in CALLS if getattr(file, name) is not None}
    paths = {where: _path(where, text) for where, text in _paths(file)}
    _check_order(file)
    _check_looking(file, calls)
    _check_telling(file)
    return Plan(
        file=file,
        calls=calls,
        paths=paths,
        auth_headers={name: parse_template(text) for name, text in file.auth.headers.items()},
        statuses={word.lower(): meaning for word, meaning in file.order.statuses.items()},
        refusals={word.lower(): RefusalKind(kind) for word, kind in file.errors.refusals.items()},
        refusals_by_status={_status(word): RefusalKind(kind) for word, kind in file.errors.by_status.items()},
        secrets=secrets,
    )


def _auth(auth: Auth) -> frozenset[str]:
    """The secrets that it needs."""
    if (auth.kind == "headers") != bool(auth.headers):
        raise _Wrong("auth", 'headers, and kind = "headers", go together')
    found = {"bearer": {"key"}, "basic": {"username", "password"}}.get(auth.kind, set())
    for name, text in auth.headers.items():
        where = f"auth.headers.{name}"
        used = {one.name for one in variables_in(_template(where, text))}
        if not used or not used <= set(SECRETS):
            raise _Wrong(where, f"it is made of the sealed secrets: {', '.join(f'{{{one}}}' for one in SECRETS)}")
        if not _HEADER.fullmatch(name):
            raise _Wrong(where, "that is no header's name")
        found |= used
    return frozenset(found)


def _call(name: str, one: Endpoint) -> Call:
    """An endpoint compiled, if it uses only what is known at its time."""
    path = _template(f"{name}.path", one.path)
    if not one.path.startswith("/") or "?" in one.path or "#" in one.path or ".." in one.path:
        raise _Wrong(f"{name}.path", "it begins with / and has no query: that stands under query")
    query = {key: _template(f"{name}.query.{key}", text) for key, text in one.query.items()}
    headers = {key: _template(f"{name}.headers.{key}", text) for key, text in one.headers.items()}
    _check_headers(f"{name}.headers", one.headers)
    try:
        body = compiled(one.body)
    except ValueError as error:
        raise _Wrong(f"{name}.body", str(error)) from None
    if one.method == "GET" and body is not None:
        raise _Wrong(f"{name}.body", "a GET has none")
    allowed = VARIABLES[name]
    for where, node in (("path", path), ("query", query), ("headers", headers), ("body", body)):
        for variable in variables_in(node):
            is_known = variable.name in allowed or (variable.name.startswith("field.") and "fields" in allowed)
            if not is_known:
                names = ", ".join(allowed) + (", field.<name>" if "fields" in allowed else "")
                raise _Wrong(f"{name}.{where}", f"there is no {{{variable.name}}} here; there are {names}")
    for key, node in headers.items():
        if any(one.name not in ("reference", "order_id", "mode", "currency") for one in variables_in(node)):
            raise _Wrong(f"{name}.headers.{key}", "a header holds {reference}, {order_id}, {mode}, {currency} and plain text")
    return Call(one.method, path, query, headers, body, _path(f"{name}.at", one.at))


def _check_headers(where: str, headers: dict[str, str]) -> None:
    """A secret in the file would be readable by whoever reads it."""
    for name, text in headers.items():
        if not _HEADER.fullmatch(name) or not text.isascii() or not text.isprintable():
            raise _Wrong(f"{where}.{name}", "that is no header")
        if _TELLTALE.search(name) and "{reference}" not in text:
            raise _Wrong(f"{where}.{name}", "what looks like a credential is sealed with the supplier: use [auth]")


def _check_order(file: Described) -> None:
    order = file.order
    if (order.status is None) != (not order.statuses):
        raise _Wrong("order", "status, and what each status means, go together")
    if order.status is not None and not {"delivered", "partial"} & set(order.statuses.values()):
        raise _Wrong("order.statuses", "none of them is delivered")
    if order.codes is None and order.receipt is None:
        raise _Wrong("order", "it says nowhere what was bought: codes, or a receipt")
    if order.codes is not None and order.code is None and order.url is None:
        raise _Wrong("order.codes", 'what of each is the code? code = "…", or "" where each is a text')
    if "accepted" in order.statuses.values() and (order.id is None or (file.status is None and file.lookup is None)):
        raise _Wrong("order.statuses", "an accepted order is asked after: that needs id, and [status] or [lookup]")
    if file.cards is not None and (order.status is None or order.id is None or (file.status is None and file.lookup is None)):
        raise _Wrong("cards", "it needs order.id, order.status, and [status] or [lookup]")
    for word in file.errors.by_status:
        _status(word)
    for name, look in (("status", file.status), ("lookup", file.lookup)):
        if look is not None and not _NEVER_ABSENT.isdisjoint(look.not_found):
            raise _Wrong(f"{name}.not_found", "401, 403, 408, 409, 425 and 429 do not say that there is no such order")
    if file.errors.refusals and file.errors.code is None:
        raise _Wrong("errors.refusals", "where does the word stand? errors.code")


def _check_looking(file: Described, calls: dict[str, Call]) -> None:
    uses = {name: {one.name for one in _variables(call)} for name, call in calls.items()}
    if file.status is not None and "order_id" not in uses["status"]:
        raise _Wrong("status", "it uses {order_id}")
    for name in ("cards", "invalidate"):
        if name in uses and uses[name].isdisjoint({"order_id", "reference"}):
            raise _Wrong(name, "of which order? it uses {order_id} or {reference}")
    if file.lookup is not None and "reference" not in uses["lookup"]:
        raise _Wrong("lookup", "it uses {reference}: that is what it finds an order by")
    if file.lookup is not None and "reference" not in uses["place"]:
        raise _Wrong("place", "[lookup] finds an order by {reference}, and place does not send it")
    if file.lookup is not None and file.lookup.rows is not None and file.order.reference is None:
        raise _Wrong("lookup.rows", "a list is searched by our reference: order.reference")
    if file.place.is_idempotent and "reference" not in uses["place"]:
        raise _Wrong("place.is_idempotent", "a repeat is known by {reference}, and place does not send it")
    if file.place.obeys_max_cost and "max_cost" not in uses["place"]:
        raise _Wrong("place.obeys_max_cost", "place does not send {max_cost}")
    if file.invalidate is not None and not (file.invalidate.done or file.invalidate.done_http):
        raise _Wrong("invalidate", "which answer proves it? done (words of the order's status) or done_http")
    if file.invalidate is not None and file.invalidate.done and file.order.status is None:
        raise _Wrong("invalidate.done", "where does the status stand? order.status")


def _check_telling(file: Described) -> None:
    for name, one in (("catalog", file.catalog), ("statement", file.statement)):
        if one is not None and (one.paging == "cursor") != (one.next is not None):
            raise _Wrong(f"{name}.paging", '"cursor", and next, go together')
        needed = {"page": "page", "offset": "offset", "cursor": "cursor"}.get(one.paging) if one is not None else None
        if one is not None and needed and needed not in {v.name for v in _variables(_call(name, one))}:
            raise _Wrong(f"{name}.paging", f"the request does not say {{{needed}}}")
    if file.catalog is None:
        return
    product = file.catalog.product
    if (product.currency is None) == (product.currency_is is None):
        raise _Wrong("catalog.product", "of the face value: either currency (a path) or currency_is")
    if product.currency_is is not None:
        try:
            currency(product.currency_is)
        except CardrailError:
            raise _Wrong("catalog.product.currency_is", "there is no such currency") from None
    if (product.min is None) != (product.max is None):
        raise _Wrong("catalog.product", "min and max go together")


def _variables(call: Call) -> Iterator[Any]:
    for node in (call.path, call.query, call.headers, call.body):
        yield from variables_in(node)


_PATHS: Final[dict[str, tuple[str, ...]]] = {
    "order": ("id", "status", "codes", "code", "pin", "serial", "url", "expires_at", "cost", "reference", "receipt"),
    "errors": ("code",),
    "lookup": ("rows",),
    "status": ("rows",),
    "balance": ("amount", "currency", "rows"),
    "catalog": ("rows", "next"),
    "catalog.product": (
        "sku", "name", "brand", "category", "countries", "currency", "face", "min", "max", "step", "cost", "cost_percent",
        "stock", "available",
    ),
    "stock": ("stock",),
    "price": ("amount",),
    "statement": ("rows", "next"),
    "statement.line": ("moment", "amount", "id", "reference", "type"),
}  # fmt: skip


def _paths(file: Described) -> Iterator[tuple[str, str]]:
    """Every path that the file names, and where it stands."""
    for section, names in _PATHS.items():
        part: Any = file
        for step in section.split("."):
            part = getattr(part, step) if part is not None else None
        for name in names:
            text = getattr(part, name) if part is not None else None
            if text is not None:
                yield f"{section}.{name}", text


def _path(where: str, text: str) -> Path:
    try:
        return parse_path(text)
    except ValueError as error:
        raise _Wrong(where, str(error)) from None


def _template(where: str, text: str) -> Template:
    try:
        return parse_template(text)
    except ValueError as error:
        raise _Wrong(where, str(error)) from None


def _status(word: str) -> int:
    if not word.isascii() or not word.isdigit() or not 400 <= int(word) <= 499 or int(word) in _NEVER_A_NO:
        raise _Wrong(f"errors.by_status.{word}", "a status from 400 to 499; not 408, 409, 425 and 429, which prove nothing")
    return int(word)


# --- where it stands --------------------------------------------------------------------------------------------------


def _located(text: str, document: Any, error: msgspec.ValidationError) -> dict[str, Any]:
    """Line, place and words of what msgspec says."""
    said = str(error)
    found = re.search(r" - at `(?:key in )?\$\.?([^`]*)`", said)
    where = [step for step in re.sub(r"\[[^\]]*\]", "", found[1] if found else "").split(".") if step]
    unknown = re.search(r"unknown field `([^`]+)`", said)
    if unknown:
        where.append(unknown[1])
    wrong = re.search(r"Invalid enum value '([^']*)'", said)
    for step in where:
        document = document.get(step) if isinstance(document, dict) else None
    if wrong and isinstance(document, dict):
        where += [name for name, value in document.items() if value == wrong[1]][:1]
    reason = re.sub(r" - at `.*`$", "", said).replace("Object", "It").replace("`", "'")
    return {"line": line_of(text, where), "where": ".".join(where) or "the file", "reason": reason[:200]}


_TABLE: Final = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?$")
_KEY: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def line_of(text: str, where: list[str]) -> int:
    """The line of the key at this place, or of the nearest thing around it; 1 where nothing is."""
    best, depth = 1, 0
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = _TABLE.match(line)
        key = None if header else _KEY.match(line)
        if header:
            table = _steps(header[1])
        if not header and not key:
            continue
        here = table + (_steps(key[1]) if key else [])
        if len(here) > depth and here == where[: len(here)]:
            best, depth = number, len(here)
    return best


def _steps(text: str) -> list[str]:
    return [one.strip().strip("\"'") for one in re.split(r"\.(?=(?:[^\"']|\"[^\"]*\"|'[^']*')*$)", text)]
