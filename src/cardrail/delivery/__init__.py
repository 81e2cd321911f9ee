"""Delivery to the recipient: claim links, their pages, and the messages that carry them."""

from cardrail.delivery.claims import NewClaim, find_claim, list_claims, make_claims, open_claim, renew_pin, revoke_claim
from cardrail.delivery.errors import (
    ChannelNotSet,
    ClaimEmpty,
    ClaimExpired,
    ClaimLocked,
    ClaimNotFound,
    ClaimRevoked,
    DeliveryError,
    InvalidDelivery,
    MessageNotFound,
    NothingToClaim,
    PinRequired,
    WrongPin,
)
from cardrail.delivery.model import Claim, LinkSigner, Protection, Wish, check_wish

__all__ = [
    "ChannelNotSet",
    "Claim",
    "ClaimEmpty",
    "ClaimExpired",
    "ClaimLocked",
    "ClaimNotFound",
    "ClaimRevoked",
    "DeliveryError",
    "InvalidDelivery",
    "LinkSigner",
    "MessageNotFound",
    "NewClaim",
    "NothingToClaim",
    "PinRequired",
    "Protection",
    "Wish",
    "WrongPin",
    "check_wish",
    "find_claim",
    "list_claims",
    "make_claims",
    "open_claim",
    "renew_pin",
    "revoke_claim",
]
