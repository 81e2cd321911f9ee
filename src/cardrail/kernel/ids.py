"""Ids: a prefix that says what it is, and a time-ordered body (UUID version 7, RFC 9562, in Crockford base 32).

They are made by us before the first write, so a lost answer can be looked up, and inserts append to their index. Each kind is its own
type: swapping two of them fails the type checker. What a partner chose is a Reference, another type again.
"""

from __future__ import annotations

import re
from typing import Final, NewType

from uuid_utils import uuid7

PartnerId = NewType("PartnerId", str)
ApiKeyId = NewType("ApiKeyId", str)
OperatorId = NewType("OperatorId", str)
ClientPartnerId = NewType("ClientPartnerId", str)
CategoryId = NewType("CategoryId", str)
BrandId = NewType("BrandId", str)
ProductId = NewType("ProductId", str)
DenominationId = NewType("DenominationId", str)
PriceListId = NewType("PriceListId", str)
PriceRuleId = NewType("PriceRuleId", str)
QuoteId = NewType("QuoteId", str)
LotId = NewType("LotId", str)
SliceId = NewType("SliceId", str)
AccountId = NewType("AccountId", str)
TransferId = NewType("TransferId", str)
HoldId = NewType("HoldId", str)
OrderId = NewType("OrderId", str)
EventId = NewType("EventId", str)
RequestId = NewType("RequestId", str)
Reference = NewType("Reference", str)
"""What the caller chose; it may look like anything of 1 to 128 printable characters."""

PREFIXES: Final[dict[str, str]] = {
    "par": "partner",
    "clp": "client partner",
    "key": "API key",
    "opk": "operator's key",
    "ses": "log-in of a dialect",
    "opr": "operator",
    "cat": "category",
    "brd": "brand",
    "prd": "product",
    "den": "denomination",
    "pls": "price list",
    "prc": "price rule",
    "quo": "quote",
    "lot": "lot of codes",
    "slc": "slice of a lot",
    "acc": "ledger account",
    "trf": "transfer",
    "hld": "hold",
    "ord": "order",
    "rpl": "replacement of a bad code",
    "evt": "event",
    "clm": "claim",
    "msg": "message to a recipient",
    "req": "request",
    "whe": "webhook endpoint",
    "whs": "webhook endpoint's secret",
    "wha": "attempt to deliver a webhook",
    "sup": "supplier",
    "mrl": "rule that maps a supplier's products",
    "att": "attempt to buy from a supplier",
    "shs": "secret of a supplier's webhooks",
    "ntc": "webhook of a supplier",
    "alr": "alert",
    "als": "sending of alerts",
    "stm": "settlement statement",
    "exp": "export",
    "sst": "supplier's statement",
    "dif": "difference to a supplier's statement",
}

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS: Final = tuple(range(120, -1, -10))
_BODY: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new_body() -> str:
    """The 26 characters after a prefix: time-ordered, unique without a sequence."""
    number = uuid7().int
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def first_body(millis: int) -> str:
    """The smallest body that an id made in that millisecond (since the epoch) or later can have: where a look at recent rows begins."""
    number = millis << 80
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def new_id(prefix: str) -> str:
    """A new id of one kind: new_id("ord") is "ord_01J9…". Wrap it in its type where it is made."""
    return f"{prefix}_{new_body()}"


def is_id(prefix: str, text: str) -> bool:
    """Whether the text has the form of an id of this kind."""
    return len(text) == len(prefix) + 27 and text.startswith(prefix + "_") and _BODY.fullmatch(text, len(prefix) + 1) is not None


def new_partner_id() -> PartnerId:
    return PartnerId(new_id("par"))


def new_order_id() -> OrderId:
    return OrderId(new_id("ord"))


def new_transfer_id() -> TransferId:
    return TransferId(new_id("trf"))


def new_event_id() -> EventId:
    return EventId(new_id("evt"))
