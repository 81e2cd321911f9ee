"""What access refuses.

AccessError
├── PartnerNotFound, KeyNotFound
├── ClientPartnerNotFound, InvalidClientPartner, ClientPartnerEventRefused
├── InvalidPartner          InvalidLimits
├── InvalidKeyRequest       UnknownScope, InvalidNetwork, UnknownDialect
├── TooManyKeys, KeyNotValid
├── NotAuthenticated        InvalidKey, KeyRevoked, KeyExpired, InvalidAccessToken
├── AddressNotAllowed, PartnerSuspended, ScopeMissing
└── LimitExceeded, TooManyRequests, TooManyFailures
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class AccessError(CardrailError):
    """Access was refused."""

    code = "access_error"


class PartnerNotFound(AccessError):
    """There is no such partner."""

    code = "partner_not_found"


class KeyNotFound(AccessError):
    """There is no such API key."""

    code = "api_key_not_found"


class ClientPartnerNotFound(AccessError):
    """There is no such client partner."""

    code = "client_partner_not_found"


class InvalidClientPartner(AccessError):
    """The client partner's data is not valid, or the partner has as many as it may have."""

    code = "invalid_client_partner"


class ClientPartnerEventRefused(AccessError):
    """The client partner's state does not allow this event."""

    code = "client_partner_event_refused"


class InvalidPartner(AccessError):
    """The partner's data is not valid."""

    code = "invalid_partner"


class InvalidLimits(InvalidPartner):
    """A limit must be a whole number, zero or more, and an amount must name its currency."""

    code = "invalid_limits"


class InvalidKeyRequest(AccessError):
    """The API key cannot be made like this."""

    code = "invalid_key_request"


class UnknownScope(InvalidKeyRequest):
    """There is no such scope."""

    code = "unknown_scope"


class InvalidNetwork(InvalidKeyRequest):
    """The network is not an address or a CIDR block without host bits."""

    code = "invalid_network"


class UnknownDialect(InvalidKeyRequest):
    """There is no such dialect."""

    code = "unknown_dialect"


class TooManyKeys(AccessError):
    """The partner has two valid keys of this mode already; revoke one first."""

    code = "too_many_keys"


class KeyNotValid(AccessError):
    """Only a valid key can be rotated; this one is revoked or has expired."""

    code = "api_key_not_valid"


class NotAuthenticated(AccessError):
    """The credential is not valid."""

    code = "not_authenticated"


class InvalidKey(NotAuthenticated):
    """The API key is missing, mistyped or unknown."""

    code = "invalid_api_key"


class KeyRevoked(NotAuthenticated):
    """The API key was revoked."""

    code = "api_key_revoked"


class KeyExpired(NotAuthenticated):
    """The API key has expired."""

    code = "api_key_expired"


class InvalidAccessToken(NotAuthenticated):
    """The access token is not valid or has expired; get a new one with the API key."""

    code = "invalid_access_token"


class AddressNotAllowed(AccessError):
    """The API key may not be used from this address."""

    code = "address_not_allowed"


class PartnerSuspended(AccessError):
    """The partner's account is suspended."""

    code = "partner_suspended"


class ScopeMissing(AccessError):
    """The API key does not have the scope that this needs."""

    code = "scope_missing"


class LimitExceeded(AccessError):
    """The order goes beyond one of the partner's limits; nothing was charged."""

    code = "limit_exceeded"


class TooManyRequests(AccessError):
    """This key's limit of requests per minute is used up; ask again after the given seconds."""

    code = "too_many_requests"
    retryable = True


class TooManyFailures(AccessError):
    """Too many failed authentications from this address; ask again after the given seconds."""

    code = "too_many_failures"
    retryable = True
