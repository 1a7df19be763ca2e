"""Addresses: which of them are on the public internet, and so may be reached for a job. Pure.

Here: the guard against being sent where only this machine, or only its network, should reach. It
judges an address, never a name: a name is resolved first, and it is the judged address that is
connected to. The lists are spelled out because Python's own verdict differs between its releases.
"""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Of IPv4 everything but these; from the registry of special purposes.
NOT_GLOBAL_4 = [
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
# Clouds answer for their machines here too, although it is a public address.
METADATA_4 = [ipaddress.IPv4Address(one) for one in ("168.63.129.16", "100.100.100.200")]
# Of IPv6 only what is given out to networks, but for these.
GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
NOT_GLOBAL_6 = [
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]
# Translators: the last 32 bits are an address of IPv4, and it is that one which is reached.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

LINK_LOCAL = [ipaddress.ip_network(one) for one in ("169.254.0.0/16", "fe80::/10")]


def parse(text: str) -> Address | None:
    """An address as `getaddrinfo` writes it; None for anything else, also one with a zone."""
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return meant(address)


def meant(address: Address) -> Address:
    """The address that is really reached: one of IPv4 can be written as one of IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_global(address: Address) -> bool:
    """Whether anybody on the internet reaches the same machine there."""
    address = meant(address)
    if isinstance(address, ipaddress.IPv4Address):
        return address not in METADATA_4 and not _is_in(address, NOT_GLOBAL_4)
    return address in GLOBAL_6 and not _is_in(address, NOT_GLOBAL_6)


def is_private(address: Address) -> bool:
    """Whether it may be reached where the operator has named the target: one of the own networks.

    Not what is local to a link (there the metadata of clouds are), nor groups, nor nobody.
    """
    address = meant(address)
    if address.is_multicast or address.is_unspecified or address in METADATA_4:
        return False
    return not _is_in(address, LINK_LOCAL) and (address.is_loopback or not address.is_reserved)


def _is_in(
    address: Address, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> bool:
    return any(address in network for network in networks)
