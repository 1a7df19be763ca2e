"""Patterns of what a job may reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners import targets


@pytest.mark.parametrize(
    ("pattern", "host", "port", "matches"),
    [
        ("pypi.org", "pypi.org", 443, True),
        ("pypi.org", "pypi.org", 80, True),
        ("pypi.org", "pypi.org", 22, False),
        ("pypi.org", "evilpypi.org", 443, False),
        ("pypi.org", "pypi.org.evil.example", 443, False),
        ("pypi.org", "a.pypi.org", 443, False),
        ("PyPI.org.", "pypi.org", 443, True),
        ("pypi.org:8443", "pypi.org", 8443, True),
        ("pypi.org:8443", "pypi.org", 443, False),
        ("*.pypi.org", "a.pypi.org", 443, True),
        ("*.pypi.org", "a.b.pypi.org", 443, True),
        ("*.pypi.org", "pypi.org", 443, False),
        ("*.pypi.org", "evilpypi.org", 443, False),
        ("*.pypi.org", "*", 443, False),
        ("*", "anything.example", 443, True),
        ("*", "anything.example", 25, False),
        ("[::1]:80", "::1", 80, True),
        ("10.0.0.1:3000", "10.0.0.1", 3000, True),
    ],
)
def test_a_pattern_matches_its_hosts_at_its_ports(pattern, host, port, matches):
    assert targets.parse(pattern).matches(host, port) is matches


@pytest.mark.parametrize(
    "text", ["", "a b", "http://pypi.org", "pypi.org:0", "pypi.org:65536", "pypi.org:x", "*.", "**",
             "a*.org", "[::1", "pypi.org/x", "-x.org", "a..b", "*:*", "é.org", "a@b"],
)  # fmt: skip
def test_what_is_no_target_is_refused(text):
    with pytest.raises(targets.BadTarget, match="is no target"):
        targets.parse(text)


def test_lists_may_be_written_with_commas_and_have_a_limit():
    assert [str(one) for one in targets.parse_all(["a.org,*.b.org:8080", "[::1]:80"])] == [
        "a.org",
        "*.b.org:8080",
        "[::1]:80",
    ]
    assert len(targets.parse_all(["a.org"] * targets.TARGETS_MAX)) == targets.TARGETS_MAX
    with pytest.raises(targets.BadTarget, match="at most 200"):
        targets.parse_all(["a.org"] * (targets.TARGETS_MAX + 1))


@pytest.mark.parametrize("text", ["a.org", "*.a.org:80", "*:80"])
def test_a_private_target_leaves_nothing_open(text):
    with pytest.raises(targets.BadTarget, match="one host and its port"):
        targets.parse_exact(text)


LABELS = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.one_of(HOSTS, HOSTS.map("*.{}".format), st.just("*"))


@given(PATTERNS, PATTERNS, HOSTS)
def test_what_lets_a_pattern_lets_all_its_hosts(wide, narrow, host):
    ours, asked = targets.parse(wide), targets.parse(narrow)
    if ours.lets(asked.host, 443) and asked.matches(host, 443):
        assert ours.matches(host, 443)


@given(HOSTS, st.integers(1, 65535))
def test_a_targets_text_says_it_again(host, port):
    for text in (host, f"*.{host}", f"{host}:{port}"):
        pattern = targets.parse(text)
        assert targets.parse(str(pattern)) == pattern


@given(st.text(max_size=60))
def test_whatever_stands_in_a_request_is_a_clean_host_or_nothing(text):
    found = targets.split_host(text, 80)
    if found is not None:
        assert targets.cleaned(found[0]) == found[0]
        assert 1 <= found[1] <= 65_535
