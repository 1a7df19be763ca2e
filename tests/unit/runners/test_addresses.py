"""Which addresses a job may be connected to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners import addresses

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "0.0.0.0", "0.1.2.3",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.170", "198.18.0.1", "192.0.2.1",
    "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1", "fd00:ec2::254",
    "fc00::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001:0:1::1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "fec0::1", "100::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "151.101.0.223", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("text", PRIVATE)
def test_what_is_not_on_the_internet_is_not_global(text):
    address = addresses.parse(text)
    assert address is not None
    assert not addresses.is_global(address)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_on_the_internet_is_global(text):
    address = addresses.parse(text)
    assert address is not None
    assert addresses.is_global(address)


@pytest.mark.parametrize("text", ["", "localhost", "2130706433", "0x7f.1", "127.1", "fe80::1%eth0"])
def test_what_is_no_plain_address_is_none(text):
    assert addresses.parse(text) is None


@given(st.ip_addresses(v=4))
def test_no_way_of_writing_an_address_changes_what_is_said_of_it(address):
    verdict = addresses.is_global(address)
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    translated = ipaddress.IPv6Address(int(addresses.NAT64.network_address) + int(address))
    for other in (mapped, translated):
        assert addresses.is_global(other) == verdict
        assert addresses.is_private(other) == addresses.is_private(address)
        assert addresses.parse(str(other)) == address


@given(st.ip_addresses())
def test_whatever_python_calls_private_is_not_global(address):
    """Python's own list is shorter, so it may never be the stricter one."""
    meant = addresses.meant(address)
    if meant.is_private or meant.is_loopback or meant.is_link_local or meant.is_multicast:
        assert not addresses.is_global(address)


@given(st.ip_addresses())
def test_what_is_local_to_a_link_is_never_even_a_private_target(address):
    meant = addresses.meant(address)
    if meant.is_link_local or meant.is_multicast or meant.is_unspecified:
        assert not addresses.is_private(address)
