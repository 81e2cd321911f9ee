"""What delivery is made of: what a partner asks for, claims and their rules. No I/O.

A link is the claim's id and a keyed hash of it, so nothing that is stored opens anything, and a link cannot be guessed (128 bits).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from cardrail.delivery.errors import ClaimExpired, ClaimLocked, ClaimRevoked, InvalidDelivery, PinRequired, WrongPin
from cardrail.kernel import Mode, OrderId, PartnerId, is_id

TRIES_MAX: Final = 5
"""Wrong PINs before the link is locked."""
LOCK_SECONDS: Final = 15 * 60
"""The first lock; each further one is twice as long."""
PIN_DIGITS: Final = 6
EXPIRES_DAYS_MAX: Final = 3_650
_MAC_BYTES: Final = 16
_BODY: Final = 26
_MAC: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_PIN: Final = re.compile(r"[0-9]{4,12}")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,80}")  # one line: a message says nothing beside its words
_EMAIL: Final = re.compile(
    r"(?!.*=\?)[^\s@<>,;:\"\\()\[\]\x00-\x1f\x7f]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}"
)  # no encoded words (RFC 2047): they would say something else than they look like
_CHAT: Final = re.compile(r"-?[0-9]{1,19}|@[A-Za-z][A-Za-z0-9_]{4,31}")


class Protection(StrEnum):
    """Who may open a link."""

    PRIVATE = "PRIVATE"
    """Whoever has it."""
    PROTECTED = "PROTECTED"
    """Whoever has it and knows the PIN."""


class Wish(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a partner wants delivered, to whom: kept with the order, and part of what its key is bound to."""

    per: str = "order"
    """One link for the order, or one for each unit."""
    protection: str = "PRIVATE"
    pin: str | None = None
    """The partner's own; one is made up otherwise."""
    expires_days: int | None = None
    email: str | None = None
    telegram: str | None = None
    """A chat's number, or a channel's name with its @."""
    language: str | None = None
    recipient: str | None = None
    deliver_at: int | None = None
    """Microseconds; at once unless given."""
    include_codes: bool = False
    """Ask for the codes in the message itself; they are only if the operator allows it."""


def check_wish(wish: Wish) -> Wish:
    """The wish, if it can be fulfilled at all. Raises InvalidDelivery."""
    faults = (
        (wish.per not in {"order", "unit"}, "per"),
        (wish.protection not in {one.value for one in Protection}, "protection"),
        (wish.pin is not None and (wish.protection != "PROTECTED" or not _PIN.fullmatch(wish.pin)), "pin"),
        (wish.expires_days is not None and not 1 <= wish.expires_days <= EXPIRES_DAYS_MAX, "expires_days"),
        (wish.email is not None and not is_address(wish.email), "email"),
        (wish.recipient is not None and not _NAME.fullmatch(wish.recipient), "recipient"),
        (wish.telegram is not None and not _CHAT.fullmatch(wish.telegram), "telegram"),
        (wish.include_codes and wish.protection == "PROTECTED", "include_codes"),
    )
    for is_wrong, field in faults:
        if is_wrong:
            raise InvalidDelivery(field=field, pointer=f"/delivery/{field}")
    return wish


def is_address(email: str) -> bool:
    """Whether a message can be sent there, and to nobody else: no list, no name beside the address, nothing in quotes."""
    return len(email) <= 254 and _EMAIL.fullmatch(email) is not None


@dataclass(frozen=True, slots=True)
class Claim:
    """One link."""

    id: str
    order_id: OrderId
    line: int
    unit: int
    partner_id: PartnerId
    mode: Mode
    protection: Protection
    pin_hash: bytes | None
    tries: int
    locked_until: int | None
    language: str | None
    recipient: str | None
    created_at: int
    expires_at: int | None
    claimed_at: int | None
    revoked_at: int | None

    def state(self, now: int) -> Literal["UNCLAIMED", "CLAIMED", "EXPIRED", "REVOKED"]:
        """UNCLAIMED, CLAIMED, EXPIRED or REVOKED."""
        if self.revoked_at is not None:
            return "REVOKED"
        if self.expires_at is not None and now >= self.expires_at:
            return "EXPIRED"
        return "CLAIMED" if self.claimed_at is not None else "UNCLAIMED"


class LinkSigner:
    """Makes links and PIN hashes with a service key of this installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, claim_id: str) -> str:
        """What stands in the link: the id's body and its keyed hash."""
        return claim_id[-_BODY:] + self._mac(claim_id)

    def claim_of(self, token: str) -> str | None:
        """The claim's id, if we made this token."""
        claim_id, mac = f"clm_{token[:_BODY]}", token[_BODY:]
        if not is_id("clm", claim_id) or not _MAC.fullmatch(mac):
            return None
        return claim_id if hmac.compare_digest(mac, self._mac(claim_id)) else None

    def pin_hash(self, claim_id: str, pin: str) -> bytes:
        """Keyed: whoever has only the database cannot try all PINs."""
        return hmac.digest(self._key, f"pin\0{claim_id}\0{pin}".encode(), hashlib.sha256)

    def _mac(self, claim_id: str) -> str:
        mac = hmac.digest(self._key, f"link\0{claim_id}".encode(), hashlib.sha256)[:_MAC_BYTES]
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def new_pin() -> str:
    """Six random digits."""
    return f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"


def check_open(claim: Claim, now: int) -> None:
    """Refuse a link that leads nowhere any more. Raises ClaimRevoked, ClaimExpired."""
    if claim.revoked_at is not None:
        raise ClaimRevoked
    if claim.expires_at is not None and now >= claim.expires_at:
        raise ClaimExpired


def check_pin(claim: Claim, given: bytes | None, now: int) -> tuple[Any, int, int | None]:
    """What a PIN (its hash; None: no PIN was given) does to a protected link: (refusal or None, tries, locked until).

    After TRIES_MAX wrong ones the link is locked; each lock is twice as long as the one before. While it is locked no PIN is looked at.
    """
    if claim.protection is Protection.PRIVATE:
        return None, claim.tries, claim.locked_until
    if claim.locked_until is not None and now < claim.locked_until:
        seconds = -(-(claim.locked_until - now) // 1_000_000)
        return ClaimLocked(retry_after=seconds), claim.tries, claim.locked_until
    if given is None:
        return PinRequired(), claim.tries, claim.locked_until
    if claim.pin_hash is not None and hmac.compare_digest(claim.pin_hash, given):
        return None, 0, None
    tries = claim.tries + 1
    if tries % TRIES_MAX:
        return WrongPin(left=TRIES_MAX - tries % TRIES_MAX), tries, None
    seconds = LOCK_SECONDS << min(tries // TRIES_MAX - 1, 10)
    return ClaimLocked(retry_after=seconds), tries, now + seconds * 1_000_000
