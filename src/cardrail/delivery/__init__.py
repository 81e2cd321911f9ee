"""Delivery to the recipient: claim links, their pages, and the messages that carry them."""

from cardrail.delivery.barcodes import Barcode
from cardrail.delivery.barcodes import draw as draw_barcode
from cardrail.delivery.channels import Channel, Letter, Mail, Sent, Telegram
from cardrail.delivery.claims import (
    NewClaim,
    claims_of,
    find_claim,
    list_claims,
    make_claims,
    open_claim,
    renew_pin,
    revoke_any_claim,
    revoke_claim,
)
from cardrail.delivery.colours import WHITE, readable_on
from cardrail.delivery.erase import erase_recipients
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
from cardrail.delivery.messages import (
    PostOffice,
    check_channels,
    deliver_order,
    deliver_waiting,
    list_messages,
    note_bounce,
    own_messages,
    register_messages,
    resend_message,
    wish_of,
)
from cardrail.delivery.model import Claim, LinkSigner, Protection, Wish, check_wish, is_address
from cardrail.delivery.store import message_backlog
from cardrail.delivery.words import RIGHT_TO_LEFT

__all__ = [
    "RIGHT_TO_LEFT",
    "WHITE",
    "Barcode",
    "Channel",
    "ChannelNotSet",
    "Claim",
    "ClaimEmpty",
    "ClaimExpired",
    "ClaimLocked",
    "ClaimNotFound",
    "ClaimRevoked",
    "DeliveryError",
    "InvalidDelivery",
    "Letter",
    "LinkSigner",
    "Mail",
    "MessageNotFound",
    "NewClaim",
    "NothingToClaim",
    "PinRequired",
    "PostOffice",
    "Protection",
    "Sent",
    "Telegram",
    "Wish",
    "WrongPin",
    "check_channels",
    "check_wish",
    "claims_of",
    "deliver_order",
    "deliver_waiting",
    "draw_barcode",
    "erase_recipients",
    "find_claim",
    "is_address",
    "list_claims",
    "list_messages",
    "make_claims",
    "message_backlog",
    "note_bounce",
    "open_claim",
    "own_messages",
    "readable_on",
    "register_messages",
    "renew_pin",
    "resend_message",
    "revoke_any_claim",
    "revoke_claim",
    "wish_of",
]
