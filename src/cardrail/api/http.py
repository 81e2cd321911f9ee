"""Reading requests and writing answers without a framework: what the bare order endpoint and the routes share.

Bodies are bounded while they arrive, must be JSON by their content type, and are decoded strictly by one decoder per wire type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Message, Receive, Send

from cardrail.api.errors import (
    BodyTooLarge,
    InvalidBody,
    InvalidHeader,
    InvalidQuantity,
    InvalidQuery,
    MalformedBody,
    MissingMember,
    NoItems,
    TooManyItems,
    UnknownMember,
    UnsupportedMediaType,
    WrongType,
)
from cardrail.kernel import new_id, to_micros

T = TypeVar("T")

Headers = list[tuple[bytes, bytes]]

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_JSON_TYPE: Final = re.compile(rb"application/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*\"?utf-?8\"?[ \t]*)?", re.IGNORECASE)
_WHERE: Final = re.compile(r" - at (?:`key` in )?`\$([^`]*)`$")
_OTHER_TYPE: Final = re.compile(r"Expected `[^`]+`, got `")
_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_QUERY_FIELDS_MAX: Final = 50


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first header of this lower-case name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's X-Request-Id if it is a sane one (1 to 64 of letters, digits, dot, dash, underscore), else a new one."""
    given = header(headers, b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return new_id("req")


class ClientGone(Exception):  # nobody is left to be told
    """The client hung up before its body was complete."""


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request's body. Raises BodyTooLarge as soon as it is, and ClientGone."""
    message = await receive()
    body = _chunk(message)
    if not message.get("more_body", False):
        if len(body) > limit:
            raise BodyTooLarge(limit=limit)
        return body
    chunks, size = [body], len(body)
    while message.get("more_body", False):
        if size > limit:
            raise BodyTooLarge(limit=limit)
        message = await receive()
        chunks.append(_chunk(message))
        size += len(chunks[-1])
    if size > limit:
        raise BodyTooLarge(limit=limit)
    return b"".join(chunks)


def _chunk(message: Any) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    return body


def check_content_type(headers: Iterable[tuple[bytes, bytes]], limit: int) -> None:
    """Refuse, before it is read, a body that is not plain application/json or says that it is too large.

    Raises UnsupportedMediaType, BodyTooLarge, InvalidHeader.
    """
    content_type: bytes | None = None
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            if not value.isdigit():
                raise InvalidHeader(parameter="Content-Length")
            if len(value) > 18 or int(value) > limit:
                raise BodyTooLarge(limit=limit)
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMediaType(given=value.decode("latin-1")[:64])
    if content_type is None or _JSON_TYPE.fullmatch(content_type) is None:
        raise UnsupportedMediaType(given=(content_type or b"").decode("latin-1")[:64])


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def decoder_for(wire_type: type[T]) -> msgspec.json.Decoder[T]:
    """The one strict decoder of a wire type."""
    found = _decoders.get(wire_type)
    if found is None:
        found = _decoders[wire_type] = msgspec.json.Decoder(wire_type, strict=True)
    return found


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body as its wire type. Raises MalformedBody, InvalidBody or what it is in particular (with a pointer, RFC 6901)."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        detail, pointer = _explain(str(error))
        raise _mistake(detail, pointer)(detail=detail, pointer=pointer) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(detail=_position(error)) from None


def decode_query(wire_type: type[T], query_string: bytes) -> T:
    """The query as its wire type; numbers are read from their digits. Raises InvalidQuery."""
    try:
        text = query_string.decode("ascii")
        pairs = (
            parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_QUERY_FIELDS_MAX)
            if text
            else []
        )
    except ValueError:
        raise InvalidQuery(detail="It is not percent-encoded UTF-8 of the form name=value.") from None
    given = dict(pairs)
    if len(given) < len(pairs):
        raise InvalidQuery(detail="A parameter is given twice.")
    kind: Any = wire_type
    numbers = _numbers_of(kind)
    values = {name: int(text) if name in numbers and _DIGITS.fullmatch(text) else text for name, text in given.items()}
    try:
        return msgspec.convert(values, wire_type)
    except msgspec.ValidationError as error:
        detail, pointer = _explain(str(error))
        raise InvalidQuery(detail=detail, parameter=pointer.lstrip("/")) from None


@cache
def _numbers_of(wire_type: type[Any]) -> frozenset[str]:
    """The members that are integers: a query knows only texts, and "null" or "1.0" is none of ours."""
    fields = msgspec.inspect.type_info(wire_type).fields  # type: ignore[attr-defined]  # a Struct's
    plain = [(one.encode_name, getattr(one.type, "type", one.type)) for one in fields]  # a description wraps the type
    return frozenset([name for name, kind in plain if isinstance(kind, msgspec.inspect.IntType)])


def _explain(message: str) -> tuple[str, str]:
    """msgspec's sentence and its path as a JSON pointer: `$.items[0].sku` is /items/0/sku.

    It does not say which member of a mapping it means (`$.metadata[...]`): then the pointer is the mapping's.
    """
    found = _WHERE.search(message)
    path = found.group(1) if found else ""
    sentence = message[: found.start()] if found else message
    pointer = re.sub(r"\[(\d+)\]", r"/\1", path.replace("[...]", "").replace(".", "/"))
    return sentence + ("" if sentence.endswith(".") else "."), pointer


def _mistake(sentence: str, pointer: str) -> type[InvalidBody]:
    """The kind of mistake that msgspec's sentence tells of. What a caller wrote himself stands in some, so their beginning decides."""
    if sentence.startswith("Object contains unknown field "):
        return UnknownMember
    if sentence.startswith("Object missing required field "):
        return MissingMember
    if pointer.endswith("/quantity"):
        return InvalidQuantity
    if pointer == "/items" and sentence.startswith("Expected `array` of length "):
        return NoItems if ">=" in sentence else TooManyItems
    return WrongType if _OTHER_TYPE.match(sentence) else InvalidBody


def _position(error: Exception) -> str:
    """What is wrong, without a word of the body itself."""
    if isinstance(error, UnicodeDecodeError):
        return "It is not UTF-8."
    found = re.search(r"\(byte (\d+)\)", str(error))
    return f"It breaks off or goes wrong at byte {found.group(1)}." if found else "It ends too early, or is nested too deeply."


def parse_moment(text: str, parameter: str) -> int:
    """Microseconds of an RFC 3339 time. Raises InvalidQuery."""
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1971 <= moment.year <= 9_998:
        raise InvalidQuery(parameter=parameter, detail="It is not an RFC 3339 time from 1971 on, with its offset.")
    return to_micros(moment)


async def send_response(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A whole answer."""
    if status != 204:  # RFC 9110, 8.6: that one has no length
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    start: Any = {"type": "http.response.start", "status": status, "headers": headers}
    end: Message = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)
