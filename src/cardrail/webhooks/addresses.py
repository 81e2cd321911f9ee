"""Where endpoints may live: https:// on the public internet, and what the operator named besides.

A URL comes from a customer and is opened by us, from inside the operator's network: the classic way to reach what nobody outside should.
So the address that a name resolves to is checked at the moment of connecting, and that very address is connected to. What is checked when
an endpoint is made is for a good error message only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from cardrail.webhooks.errors import AddressForbidden, HttpsRequired, InvalidEndpoint

URL_MAX: Final = 2_000
_NAT64: Final = IPv6Network("64:ff9b::/96")
_UNICAST: Final = IPv6Network("2000::/3")
"""All that was ever given out; Python also counts what is beyond it as global, site-local addresses among it."""
_SPECIAL: Final = (IPv6Network("3fff::/20"), IPv4Network("192.88.99.0/24"))
"""For documents (RFC 9637), and relays of 6to4 (RFC 7526): Python does not know of them yet."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Which addresses may be connected to."""

    networks: tuple[Network, ...] = ()
    """Networks that the operator named (settings), beside the public ones. http:// is accepted only if there is one."""

    def allows(self, address: Address, *, is_plain: bool) -> bool:
        """Whether we may connect to this address; plain HTTP goes to the named networks only."""
        real = unwrapped(address)
        if any(real in network for network in self.networks):
            return True
        return not is_plain and is_public(real)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4 or NAT64; else the address itself."""
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if inside is None and address in _NAT64:
            inside = IPv4Address(int(address) & 0xFFFF_FFFF)
        return inside if inside is not None else address
    return address


def is_public(address: Address) -> bool:
    """Whether it is one host on the public internet."""
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    is_host = address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
    return is_host and not any(address in network for network in _SPECIAL)


def check_url(url: str, rules: AddressRules) -> str:
    """The URL, if an endpoint may have it. Raises InvalidEndpoint, HttpsRequired, AddressForbidden."""
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        raise InvalidEndpoint(field="url") from None
    if len(url) > URL_MAX or not url.isascii() or any(char <= " " or char in '"<>\\^`{|}\x7f' for char in url):
        raise InvalidEndpoint(field="url")
    if parts.scheme not in ("https", "http"):
        raise HttpsRequired(field="url")
    if not parts.hostname or not port_is_good or parts.username is not None or parts.password is not None or "#" in url:
        raise InvalidEndpoint(field="url")
    is_plain = parts.scheme == "http"
    if is_plain and not rules.networks:
        raise HttpsRequired(field="url")
    address = literal_address(parts.hostname)
    if address is not None and not rules.allows(address, is_plain=is_plain):
        raise AddressForbidden(field="url")
    return url


def literal_address(host: str) -> Address | None:
    """The address, where the host is written as one."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def first_allowed(rules: AddressRules, addresses: Iterable[str], *, is_plain: bool) -> str | None:
    """The first address that we may connect to."""
    for text in addresses:
        address = literal_address(text)
        if address is not None and rules.allows(address, is_plain=is_plain):
            return text
    return None
