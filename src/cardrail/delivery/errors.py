"""What delivery refuses.

DeliveryError
├── ClaimNotFound, ClaimExpired, ClaimRevoked, ClaimEmpty
├── PinRequired, WrongPin, ClaimLocked
├── NothingToClaim, InvalidDelivery
├── MessageNotFound, ChannelNotSet
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class DeliveryError(CardrailError):
    """It cannot be delivered."""

    code = "delivery_error"


class ClaimNotFound(DeliveryError):
    """There is no such claim."""

    code = "claim_not_found"


class ClaimExpired(DeliveryError):
    """The link's time is over."""

    code = "claim_expired"


class ClaimRevoked(DeliveryError):
    """The link was withdrawn."""

    code = "claim_revoked"


class ClaimEmpty(DeliveryError):
    """The codes behind the link were taken back."""

    code = "claim_empty"


class PinRequired(DeliveryError):
    """This link is protected by a PIN."""

    code = "pin_required"


class WrongPin(DeliveryError):
    """The PIN is wrong."""

    code = "wrong_pin"


class ClaimLocked(DeliveryError):
    """Too many wrong PINs; the link is locked for a while."""

    code = "claim_locked"
    retryable = True


class NothingToClaim(DeliveryError):
    """The order has no delivered code that a link could lead to."""

    code = "nothing_to_claim"


class InvalidDelivery(DeliveryError):
    """It cannot be delivered like this."""

    code = "invalid_delivery"


class MessageNotFound(DeliveryError):
    """There is no such message."""

    code = "message_not_found"


class ChannelNotSet(InvalidDelivery):
    """The operator has not set this channel up."""

    code = "channel_not_set"
