"""Addresses and networks: an IPv4 address that arrives in IPv6 clothes (::ffff:192.0.2.1) is the IPv4 address."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from cardrail.access.errors import InvalidNetwork

Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> Network:
    """An address or a CIDR block. Raises InvalidNetwork, also for host bits: 10.0.0.5/8 is more likely a slip than a wish."""
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise InvalidNetwork(network=text[:60]) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Several, without repeats, in the order given. Raises InvalidNetwork."""
    return tuple(dict.fromkeys([parse_network(text) for text in texts]))


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, unwrapped and without its zone; None for what is no address (a socket's path)."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_inside(networks: Iterable[Network], origin: str | None) -> bool:
    """Whether the address lies in one of the networks; no address lies in none."""
    address = parse_address(origin) if origin else None
    return address is not None and any(address in network for network in networks)
