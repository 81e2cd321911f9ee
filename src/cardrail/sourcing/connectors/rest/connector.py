"""Buying from a supplier that a file describes.

The file says which words mean yes and which mean no. Everything else is unknown: another status, another error, an answer that is not
JSON. An order is looked for by our reference where the file has a ``lookup``, and by the supplier's id where it has a ``status``. A list
that holds orders, and not ours, proves nothing: then the supplier may not have filtered it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote

import msgspec

from cardrail.kernel import CardrailError, Money, PlainCode, Secret, currency
from cardrail.sourcing.connector import (
    Accepted,
    BaseConnector,
    Capabilities,
    ConfigField,
    ConnectorKind,
    Delivered,
    Invalidated,
    InvalidateOutcome,
    Lookup,
    LookupOutcome,
    LookupRequest,
    NotFound,
    Outcome,
    PlaceRequest,
    RefusalKind,
    Refused,
    Setup,
    StatementLine,
    SupplierProduct,
    Unknown,
)
from cardrail.sourcing.connectors.rest.file import SECRETS, Described, Paged, Plan, read_file
from cardrail.sourcing.connectors.rest.paths import Absent, Template, rendered, text_from, text_of, value_at
from cardrail.sourcing.errors import CredentialsRefused, InvalidSupplierConfig, NotSent, NotSupported, OddAnswer, SupplierError
from cardrail.sourcing.http import Answer, SupplierHttp

PAGES_MAX: Final = 10_000
_MILLIS_FROM: Final = 10**11
"""Numbers from here on are times in milliseconds: in seconds they would be in the year 5138."""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class RestSupplier(BaseConnector):
    """See the module's text."""

    def __init__(self, setup: Setup) -> None:
        self._plan = plan = read_file(setup.config.get("file"))
        self._file = plan.file
        self._unit = currency(setup.currency)
        self._mode = setup.mode
        self.capabilities = _capabilities(plan.file)
        calls = 2 if plan.file.cards is not None else 1
        headers = {"accept": "application/json", **plan.file.headers, **_auth(plan, setup.secrets)}
        self._http = SupplierHttp(plan.file.base_url, seconds=plan.file.limits.call_seconds / calls, headers=headers)

    # --- buying -----------------------------------------------------------------------------------------------------------

    def place(self, request: PlaceRequest) -> Outcome:
        """Order once. Only a word or a status that the file calls a refusal is one."""
        asks_by_repeating = self._file.place.is_idempotent and self._file.lookup is None
        try:
            answer = self._ask("place", self._values(request))
        except Absent as absent:
            if asks_by_repeating:  # this may be the question what became of the order, whose customer was erased meanwhile
                raise NotSent(because=f"the order has no {absent}") from None
            return Refused(f"the order has no {absent}, which this supplier's file wants", RefusalKind.INVALID)
        try:
            document = _document(answer)
        except OddAnswer:
            return Unknown(f"answered {answer.status}, not in JSON")
        order = value_at(document, self._plan.calls["place"].at)
        refusal = self._refusal(answer, document)
        if not answer.is_ok:
            return refusal or Unknown(f"answered {answer.status}")
        if refusal is not None and self._text(order, "order.id") is None:
            return refusal
        return self._outcome(order, request)

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        """The order with the supplier's id, or with our reference."""
        name = "status" if about.supplier_order_id is not None and self._file.status is not None else "lookup"
        look = self._file.status if name == "status" else self._file.lookup
        if look is None:
            raise NotSupported(call="lookup")
        answer = self._ask(name, self._values(about.placed, about.supplier_order_id))
        if answer.status in look.not_found:
            word = text_of(value_at(_document(answer), self._plan.paths.get("errors.code", ())))
            if not look.not_found_codes or word in look.not_found_codes:
                return NotFound()
        document = _document(_checked(answer))
        if look.rows is not None:
            return self._among(value_at(document, self._plan.paths[f"{name}.rows"]), about)
        order = value_at(document, self._plan.calls[name].at)
        if self._text(order, "order.reference") not in (None, about.placed.reference):
            return Unknown("it answered with another order")
        return self._outcome(order, about.placed)

    def _among(self, rows: Any, about: LookupRequest) -> LookupOutcome:
        """The one of these orders that is meant. Raises OddAnswer."""
        if not isinstance(rows, list):
            raise OddAnswer(because="no list of orders")
        name, wanted = "order.reference", about.placed.reference
        if about.supplier_order_id is not None and "order.id" in self._plan.paths:
            name, wanted = "order.id", about.supplier_order_id
        ours = [one for one in rows if self._text(one, name) == wanted]
        if len(ours) == 1:
            return self._outcome(ours[0], about.placed)
        if not rows:
            return NotFound()
        return Unknown(f"{len(ours)} orders of ours among {len(rows)}")

    def _outcome(self, order: Any, request: PlaceRequest) -> Outcome:
        """What an order says of itself."""
        order_id = self._text(order, "order.id")
        if self._file.order.status is None:
            meaning = "delivered"
        else:
            word = self._text(order, "order.status") or ""
            meaning = self._plan.statuses.get(word.lower(), "")
            if not meaning:
                return Unknown(f"a status that the file does not know: {word[:32]!r}", order_id)
        if meaning == "refused":
            return Refused("the order came to nothing", RefusalKind.FAILED, supplier_order_id=order_id)
        if meaning == "accepted":
            return Accepted(order_id) if order_id is not None else Unknown("accepted, without an order's id")
        if self._file.cards is not None and order_id is not None:
            cards = self._cards(request, order_id)
            if cards is None:
                return Accepted(order_id)  # it is asked after again: the codes are there
        else:
            cards = order
        codes = self._codes(cards, order, request, is_whole=meaning == "delivered")
        fits = 0 < len(codes) <= request.quantity if meaning == "partial" else len(codes) == request.quantity
        if not fits:
            return Unknown(f"{meaning}, with {len(codes)} codes for {request.quantity} units", order_id)
        return Delivered(codes, self._cost(order), order_id, self._ends(cards))

    def _cards(self, request: PlaceRequest, order_id: str) -> Any:
        """Where codes are shown by a call of their own; None where it cannot be read now."""
        try:
            answer = _document(_checked(self._ask("cards", self._values(request, order_id))))
        except (SupplierError, Absent):
            return None
        return value_at(answer, self._plan.calls["cards"].at)

    def _codes(self, cards: Any, order: Any, request: PlaceRequest, *, is_whole: bool) -> tuple[PlainCode, ...]:
        """The codes; of a top-up the receipt, once for each unit. None of them counts where one cannot be read.

        A receipt for a part of the units does not say for how many: then there are none.
        """
        receipt = self._text(order, "order.receipt")
        if receipt is not None and request.fields:
            return (PlainCode(receipt),) * request.quantity if is_whole else ()
        if "order.codes" not in self._plan.paths:
            return ()
        found = value_at(cards, self._plan.paths["order.codes"])
        rows = found if isinstance(found, list) else [found] if found is not None else []
        codes = [PlainCode(*[self._secret(one, f"order.{part}") for part in ("code", "pin", "serial", "url")]) for one in rows]
        return tuple(codes) if all(one.code or one.url for one in codes) else ()

    def _secret(self, row: Any, name: str) -> str | None:
        """A part of a code: ``false`` is none yet, and no text."""
        value = self._at(row, name)
        return None if isinstance(value, bool) else text_of(value)

    def _cost(self, order: Any) -> Money | None:
        """What it says that all units cost; None where it does not, or not so that it can be counted: the codes count more."""
        try:
            return self._money(self._at(order, "order.cost"))
        except OddAnswer:
            return None

    def _ends(self, cards: Any) -> datetime | None:
        """The earliest end of the codes, where it is told."""
        if "order.expires_at" not in self._plan.paths:
            return None
        found = value_at(cards, self._plan.paths["order.codes"]) if "order.codes" in self._plan.paths else cards
        ends = [_moment(self._at(one, "order.expires_at")) for one in (found if isinstance(found, list) else [found])]
        return min([one for one in ends if one is not None], default=None)

    def _refusal(self, answer: Answer, document: Any) -> Refused | None:
        """The no that this is, if the file calls it one. A word that the file does not know may say anything: only 401 is heard then."""
        word = text_of(value_at(document, self._plan.paths["errors.code"])) if "errors.code" in self._plan.paths else None
        if not (answer.is_ok or 400 <= answer.status < 500):
            return None
        kind = self._plan.refusals.get((word or "").lower())
        if kind is None and (word is None or answer.status == 401):
            kind = self._plan.refusals_by_status.get(answer.status)
        return Refused(f"{answer.status} {(word or '')[:64]}".strip(), kind) if kind is not None else None

    def invalidate(self, about: LookupRequest) -> InvalidateOutcome:
        """Cancel. Done only if the answer is what the file says that it is then."""
        given = self._file.invalidate
        if given is None:
            raise NotSupported(call="invalidate")
        try:
            answer = self._ask("invalidate", self._values(about.placed, about.supplier_order_id))
        except Absent as absent:
            return Unknown(f"without {absent} it cannot be cancelled")
        if answer.status in given.done_http and not answer.body:
            return Invalidated()
        document = _document(answer)  # a page of somebody in between is no proof, whatever its status
        if answer.status in given.done_http:
            return Invalidated()
        order = value_at(document, self._plan.calls["invalidate"].at)
        if answer.is_ok and self._text(order, "order.status") in given.done:
            return Invalidated()
        return self._refusal(answer, document) or Unknown(f"answered {answer.status}")

    # --- what it tells ----------------------------------------------------------------------------------------------------

    def catalog(self) -> Iterator[SupplierProduct]:
        """All pages. Raises OddAnswer where a page has rows, and none of them is a product as the file reads it."""
        if self._file.catalog is None:
            raise NotSupported(call="catalog")
        for rows in self._pages("catalog", self._file.catalog, {}):
            found = [product for row in rows if (product := self._product(row)) is not None]
            if rows and not found:
                raise OddAnswer(because=f"none of {len(rows)} rows is a product as catalog.product reads them")
            yield from found

    def _product(self, row: Any) -> SupplierProduct | None:
        """A row as a product; None where it is none."""
        product = self._file.catalog.product if self._file.catalog is not None else None
        sku = self._text(row, "catalog.product.sku")
        code = product.currency_is if product is not None and product.currency_is else self._text(row, "catalog.product.currency")
        if product is None or sku is None or code is None:
            return None
        try:
            face, low, high, step = [
                self._optional(row, f"catalog.product.{name}", code.upper()) for name in ("face", "min", "max", "step")
            ]
            cost = self._optional(row, "catalog.product.cost", self._unit.code)
            part = self._at(row, "catalog.product.cost_percent")
            bps = None if part is None else int((_decimal(part) * 100).to_integral_value(ROUND_HALF_UP))
        except OddAnswer:
            return None
        is_range = low is not None and high is not None and low.minor < high.minor
        if not is_range and face is None and low is not None:
            face = low
        stock = self._at(row, "catalog.product.stock")
        count = stock if isinstance(stock, int) and not isinstance(stock, bool) and stock >= 0 else None
        countries = self._at(row, "catalog.product.countries")
        return SupplierProduct(
            sku=sku,
            name=self._text(row, "catalog.product.name") or sku,
            currency=code.upper(),
            face_minor=face.minor if face is not None and not is_range else None,
            min_minor=low.minor if is_range and low is not None else None,
            max_minor=high.minor if is_range and high is not None else None,
            step_minor=step.minor if is_range and step is not None else 10 ** currency(code.upper()).digits if is_range else None,
            cost=None if is_range else cost,
            cost_bps=bps,
            brand=self._text(row, "catalog.product.brand"),
            category=self._text(row, "catalog.product.category"),
            kind=product.kind_is,
            countries=tuple([one for one in (countries if isinstance(countries, list) else [countries]) if _is_country(one)]),
            stock=count,
            is_available=count != 0 and _is_yes(self._at(row, "catalog.product.available")),
        )

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        found = {}
        for sku in skus:
            answer = self._ask("stock", {"sku": sku, **self._always()})
            if answer.status == 404:
                continue
            count = self._at(value_at(_document(_checked(answer)), self._plan.calls["stock"].at), "stock.stock")
            if isinstance(count, int) and not isinstance(count, bool):
                found[sku] = count
        return found

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        given = self._file.price
        if given is None:
            raise NotSupported(call="price")
        values = {"sku": sku, "face": face, "face_currency": face.currency.code, "quantity": quantity, **self._always()}
        document = value_at(_document(_checked(self._ask("price", values))), self._plan.calls["price"].at)
        told = self._money(self._at(document, "price.amount"))
        return told * quantity if given.of == "unit" else told

    def balance(self) -> Sequence[Money]:
        given = self._file.balance
        if given is None:
            raise NotSupported(call="balance")
        document = value_at(_document(_checked(self._ask("balance", self._always()))), self._plan.calls["balance"].at)
        rows = [document] if given.rows is None else value_at(document, self._plan.paths["balance.rows"])
        if not isinstance(rows, list):
            raise OddAnswer(because="no list of balances")
        return [
            self._money(self._at(one, "balance.amount"), self._text(one, "balance.currency") or self._unit.code) for one in rows
        ]

    def statement(self, since: datetime, until: datetime) -> Iterable[StatementLine]:
        given = self._file.statement
        if given is None:
            raise NotSupported(call="statement")
        rows = [row for page in self._pages("statement", given, {"since": since, "until": until}) for row in page]
        lines = [self._line(row) for row in rows]
        return sorted([one for one in lines if since <= one.at < until], key=lambda one: one.at)

    def _line(self, row: Any) -> StatementLine:
        """Raises OddAnswer: a line that is passed over would be a difference that nobody finds."""
        at = _moment(self._at(row, "statement.line.moment"))
        amount = self._money(self._at(row, "statement.line.amount"))
        types = self._file.statement.line.types if self._file.statement is not None else {}
        word = self._text(row, "statement.line.type")
        if at is None:
            raise OddAnswer(because="a line of the statement without a time")
        by_sign = "order" if amount.minor >= 0 else "refund"
        kind = by_sign if word is None or not types else str(types.get(word, "other"))
        size = Money(abs(amount.minor), amount.currency)
        signed = {"order": size, "refund": -size, "topup": -size}.get(kind, amount)
        found = self._text(row, "statement.line.id"), self._text(row, "statement.line.reference")
        return StatementLine(at, signed, *found, kind=kind, note=word)

    def close(self) -> None:
        self._http.close()

    # --- the wire ---------------------------------------------------------------------------------------------------------

    def _values(self, request: PlaceRequest, order_id: str | None = None) -> dict[str, Any]:
        """What templates may use of an order."""
        values = {
            "reference": request.reference,
            "sku": request.supplier_sku,
            "quantity": request.quantity,
            "face": request.face,
            "face_currency": request.face.currency.code,
            "max_cost": request.max_cost,
            "country": request.country,
            "customer_id": request.customer_id,
            "fields": dict(request.fields) or None,
            "order_id": order_id,
            **self._always(),
        }
        return values | {f"field.{name}": value for name, value in request.fields.items()}

    def _always(self) -> dict[str, Any]:
        return {"currency": self._unit.code, "mode": self._mode.value}

    def _ask(self, name: str, values: Mapping[str, Any]) -> Answer:
        """Send a call. Raises Absent before anything is sent, and SupplierError's kinds."""
        call = self._plan.calls[name]
        form = self._file.money.unit
        path = "".join([one if isinstance(one, str) else _step(text_from((one,), values, form)) for one in call.path])
        query = {key: text for key, node in call.query.items() if (text := _whole(node, values, form)) is not None}
        headers = {key: text for key, node in call.headers.items() if (text := _whole(node, values, form)) is not None}
        content = None
        if call.body is not None:
            content = _encode(rendered(call.body, values, form))
            headers = {"content-type": "application/json", **headers}
        return self._http.request(call.method, path, content=content, params=query, headers=headers)

    def _pages(self, name: str, given: Paged, values: Mapping[str, Any]) -> Iterator[list[Any]]:
        """The rows of each page, until one is empty: a page that is not full may be the supplier's own limit. Raises OddAnswer."""
        page, offset = given.first_page, 0
        cursor: str | None = None
        before: Any = None
        for _ in range(PAGES_MAX):
            asked = {"page": page, "offset": offset, "page_size": given.page_size, "cursor": cursor, **values, **self._always()}
            document = _document(_checked(self._ask(name, asked)))
            rows = value_at(document, self._plan.paths[f"{name}.rows"])
            if not isinstance(rows, list):
                raise OddAnswer(because=f"no list at {name}.rows")
            if rows and rows == before:
                break  # the same page again
            if rows:
                yield rows
            before, page, offset = rows, page + 1, offset + len(rows)
            if given.paging == "cursor":
                last, cursor = cursor, text_of(value_at(document, self._plan.paths[f"{name}.next"]))
                if cursor is None:
                    return
                if cursor == last:
                    break
            elif given.paging == "none" or not rows:
                return
        raise OddAnswer(because="its pages do not end")

    # --- reading ----------------------------------------------------------------------------------------------------------

    def _at(self, document: Any, name: str) -> Any:
        path = self._plan.paths.get(name)
        return None if path is None else value_at(document, path)

    def _text(self, document: Any, name: str) -> str | None:
        return text_of(self._at(document, name))

    def _optional(self, row: Any, name: str, code: str) -> Money | None:
        value = self._at(row, name)
        return None if value is None else self._money(value, code)

    def _money(self, value: Any, code: str | None = None) -> Money:
        """An amount, in the file's unit, rounded half up to what the currency counts. Raises OddAnswer."""
        try:
            unit = currency((code or self._unit.code).upper())
            scale = 0 if self._file.money.unit == "minor" else unit.digits
            minor = int(_decimal(value).scaleb(scale).to_integral_value(ROUND_HALF_UP))
            return Money.parse(f"{'-' if minor < 0 else ''}{Decimal(abs(minor)).scaleb(-unit.digits):f}", unit)
        except (CardrailError, ArithmeticError):
            raise OddAnswer(because="an amount that cannot be counted") from None


def _capabilities(file: Described) -> Capabilities:
    """What the file has is what can be done."""
    limits = file.limits
    return Capabilities(
        lookup=Lookup.BY_REFERENCE if file.lookup is not None else Lookup.NONE,
        is_idempotent=file.place.is_idempotent,
        can_poll=file.status is not None or file.lookup is not None,
        can_invalidate=file.invalidate is not None,
        has_catalog=file.catalog is not None,
        has_stock=file.stock is not None,
        has_price=file.price is not None,
        has_balance=file.balance is not None,
        has_statement=file.statement is not None,
        delivers_topups=file.order.receipt is not None,
        obeys_max_cost=file.place.obeys_max_cost,
        quantity_max=file.place.quantity_max,
        call_seconds=limits.call_seconds,
        settle_seconds=limits.settle_seconds,
        unknown_seconds=limits.unknown_seconds,
        poll_seconds=limits.poll_seconds,
        poll_seconds_max=max(limits.poll_seconds, limits.poll_seconds_max),
        accepted_seconds=limits.accepted_seconds,
    )


def _auth(plan: Plan, secrets: Mapping[str, Secret]) -> dict[str, str]:
    """The headers that say who we are. Raises InvalidSupplierConfig without any of the values."""
    values = {}
    for name in sorted(plan.secrets):
        given = secrets.get(name)
        if given is None:
            raise InvalidSupplierConfig(field=name, reason="the file's [auth] needs this secret")
        if not given.reveal() or not given.reveal().isascii() or not given.reveal().isprintable():
            raise InvalidSupplierConfig(field=name, reason="a secret that goes into a header is printable ASCII")
        values[name] = given.reveal()
    if plan.file.auth.kind == "bearer":
        return {"authorization": f"Bearer {values['key']}"}
    if plan.file.auth.kind == "basic":
        pair = f"{values['username']}:{values['password']}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {name: text_from(template, values, "text") for name, template in plan.auth_headers.items()}


def _whole(template: Template, values: Mapping[str, Any], form: str) -> str | None:
    """A text for a header or a query; None where it is one variable without a value. Raises Absent."""
    found = rendered(template, values, form)
    return None if found is None else text_of(found) or ""


def _step(text: str) -> str:
    """A variable as one step of a path. Raises Absent for what would be another path."""
    if text in (".", "..") or not text.isprintable():
        raise Absent("a sku that can stand in a path")
    return quote(text, safe="")


def _checked(answer: Answer) -> Answer:
    """A success. Raises CredentialsRefused, OddAnswer."""
    if answer.status in (401, 403):
        raise CredentialsRefused(status=answer.status)
    if not answer.is_ok:
        raise OddAnswer(status=answer.status)
    return answer


def _document(answer: Answer) -> Any:
    """The whole answer, its numbers exact. Raises OddAnswer for what is no object or list of JSON."""
    try:
        found = json.loads(answer.body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise OddAnswer(status=answer.status, bytes=len(answer.body)) from None  # the body may hold codes
    if not isinstance(found, dict | list):
        raise OddAnswer(status=answer.status, because="neither an object nor a list")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _decimal(value: Any) -> Decimal:
    """A number, or a text of one. Raises OddAnswer."""
    if isinstance(value, int | Decimal | str) and not isinstance(value, bool):
        try:
            found = Decimal(value)
            if found.is_finite() and abs(found.adjusted()) < 30:
                return found
        except InvalidOperation:
            pass
    raise OddAnswer(because="an amount that cannot be counted")


def _moment(value: Any) -> datetime | None:
    """An ISO text, UTC where it names no offset; or seconds or milliseconds since 1970. None where it is neither."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1_000 if value >= _MILLIS_FROM else value, UTC)
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)


def _is_country(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()


def _is_yes(value: Any) -> bool:
    """Whether it is sold: where nothing is said it is."""
    if isinstance(value, str):
        return value.lower() in ("true", "yes", "1", "active", "available", "in_stock", "enabled")
    return value is None or bool(value)


KIND: Final = ConnectorKind(
    "rest",
    "Any REST API, described by a file (`cardrail supplier template` prints one)",
    RestSupplier,
    (
        ConfigField("file", "The absolute path of the file that describes it, on every machine that serves or works."),
        *[
            ConfigField(name, f"What {{{name}}} stands for in the file's [auth].", is_secret=True, is_required=False)
            for name in SECRETS
        ],
    ),
)
