"""The text of an API key: cr_live_ or cr_test_, 36 random characters, and four that check the rest.

The alphabet is Crockford's base 32 (no I, L, O, U). 180 random bits cannot be guessed, so a plain SHA-256 is what is stored: there is
nothing that a slow hash could protect. The four check characters refuse a typo without a look-up, and are the hint to recognise it by.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from cardrail.access.errors import InvalidKey
from cardrail.kernel import Mode, Secret

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM: Final = 36
_CHECK: Final = 4
_FORM: Final = re.compile(rf"cr_(live|test)_[{_ALPHABET}]{{{_RANDOM + _CHECK}}}")


def new_token(mode: Mode) -> Secret:
    """A new token of this mode, from the operating system's source of randomness."""
    body = f"cr_{mode.value}_" + "".join([secrets.choice(_ALPHABET) for _ in range(_RANDOM)])
    return Secret(body + _checksum(body))


def hash_token(token: str) -> bytes:
    """SHA-256 of the whole token: what is stored and looked up."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def hint_of(token: str) -> str:
    return token[-_CHECK:]


def check_token(token: str) -> Mode:
    """The token's mode, if its form and checksum are right. Raises InvalidKey."""
    match = _FORM.fullmatch(token)
    if match is None or not secrets.compare_digest(_checksum(token[:-_CHECK]), token[-_CHECK:]):
        raise InvalidKey
    return Mode(match[1])


def _checksum(body: str) -> str:
    number = int.from_bytes(hashlib.sha256(body.encode()).digest()[:3]) >> 4
    return "".join([_ALPHABET[(number >> shift) & 31] for shift in (15, 10, 5, 0)])
