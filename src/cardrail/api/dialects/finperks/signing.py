"""Request signing, FP1-HMAC-SHA256 (specs/finperks.md, section 1.2): who signed what, and when.

The vendor documents the headers; what exactly is signed is inferred from a sibling API, so it is ``string_to_sign`` alone that knows it,
and the profile names its lines. Nothing here does I/O.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from cardrail.access import InvalidKey
from cardrail.api.errors import InvalidHeader
from cardrail.kernel import Secret

SCHEME: Final = "FP1-HMAC-SHA256"

_AUTHORIZATION: Final = re.compile(rf"{SCHEME} KeyId=([!-+\--~]{{1,128}}),[ \t]*Signature=([0-9A-Fa-f]+)[ \t]*")
_DATE: Final = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT",
    re.ASCII,
)
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?")


def string_to_sign(parts: Mapping[str, str], lines: tuple[str, ...], separator: str) -> bytes:
    """The bytes that are signed: these parts of the request, by the names of the profile's lines, as they were on the wire.

    Headers come as Latin-1, so they go back to what they were.
    """
    return separator.join(map(parts.__getitem__, lines)).encode("latin-1")


def signature(secret: Secret, message: bytes) -> str:
    """Lower-case hex of the HMAC."""
    made = _keyed(secret).copy()
    made.update(message)
    return made.hexdigest()


@lru_cache(maxsize=512)
def _keyed(secret: Secret) -> hmac.HMAC:
    """The HMAC of nothing yet, to be copied: to set one up costs more than to finish it."""
    return hmac.new(secret.reveal().encode(), digestmod="sha256")


def is_signature(secret: Secret, message: bytes, given: str) -> bool:
    """Whether it is, in constant time; upper-case hex is taken too."""
    return hmac.compare_digest(signature(secret, message), given.lower())


def body_digest(body: bytes) -> str:
    """The line of the body: hex SHA-256, also of the empty one."""
    return hashlib.sha256(body).hexdigest()


def parse_authorization(given: str | None) -> tuple[str, str]:
    """(key id, signature in hex). Raises InvalidKey; its fact ``reason`` is "format" where the header is ours, but not of its form."""
    if given is None or not given.startswith(SCHEME + " "):
        raise InvalidKey(reason="missing")
    found = _AUTHORIZATION.fullmatch(given)
    if found is None:
        raise InvalidKey(reason="format")
    return found.group(1), found.group(2)


@lru_cache(maxsize=512)
def parse_date(given: str) -> datetime:
    """The moment of an RFC 7231 IMF-fixdate. Raises InvalidHeader."""
    if _DATE.fullmatch(given) is None:
        raise InvalidHeader(parameter="Date")
    try:
        return parsedate_to_datetime(given)
    except (ValueError, OverflowError):
        raise InvalidHeader(parameter="Date") from None


@lru_cache(maxsize=512)
def split_host(given: str) -> tuple[str, str | None]:
    """Name and port of a Host header. Raises InvalidHeader."""
    found = _HOST.fullmatch(given)
    if found is None:
        raise InvalidHeader(parameter="Host")
    return found.group(1), found.group(2)


@lru_cache(maxsize=512)
def host_forms(given: str) -> tuple[str, ...]:
    """The first lines that a client who calls this host may have signed, the likeliest first.

    The sibling's clients sign the port even where the Host header has none; behind a proxy we cannot tell 443 from 80 (section 7.4).
    """
    name, port = split_host(given)
    forms = (":443", "", ":80") if port is None else (f":{port}", "")
    return tuple([one + form for one in dict.fromkeys((name, name.lower())) for form in forms])
