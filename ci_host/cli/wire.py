"""Wire: the one HTTP client that commands have, by whichever proxy it goes; and the words for what
is wrong with an address, or with an answer that no Staunch gives.

What is asked, and what a host refuses, is `client.py`'s. One parser reads every address, the one
that requests go by: two could take one text for two hosts, and a key would go to the wrong one.
"""

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx2  # imported where it is used: `staunch up` must not wait for it

TIMEOUT_S = 90.0
API = "/api/v1"
# What a proxy answers whose host is being started again, and the host itself while it ends.
AWAY = frozenset({502, 503, 504})
PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
KINDS = frozenset({"http", "https"})


class NoProxy(Exception):
    """The environment names a proxy that cannot be gone by; the message says what to do."""


def opened(url: str, read_s: float) -> "httpx2.Client":
    """An HTTP client for this host. Raises httpx2.InvalidURL, NoProxy."""
    import httpx2

    there, timeout = httpx2.URL(url), httpx2.Timeout(TIMEOUT_S, read=read_s)
    if is_of_this_machine(there.host):
        # A proxy would look for it on its own machine. Certificates that the environment names
        # count still, which they would not with `trust_env=False`.
        return httpx2.Client(timeout=timeout, transport=httpx2.HTTPTransport())
    try:
        return httpx2.Client(timeout=timeout)
    except (ImportError, ValueError, httpx2.InvalidURL):
        # It makes ready for every proxy that is named, be it for other hosts alone.
        return _by_its_own_proxy(there, timeout)


def _by_its_own_proxy(there: "httpx2.URL", timeout: "httpx2.Timeout") -> "httpx2.Client":
    from urllib.request import getproxies, proxy_bypass

    import httpx2

    named = getproxies()
    scheme = there.scheme if named.get(there.scheme) else "all"
    proxy = named.get(scheme)
    if not proxy or proxy_bypass(there.host):
        return httpx2.Client(timeout=timeout, transport=httpx2.HTTPTransport())
    try:
        return httpx2.Client(timeout=timeout, proxy=proxy if "://" in proxy else f"http://{proxy}")
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        # Not the whole of it: it may hold a password.
        kind = proxy.partition("://")[0] if "://" in proxy else "http"
        raise NoProxy(
            f"{there.host} cannot be reached by the proxy that {scheme.upper()}_PROXY names, a"
            f" {kind}:// one: name an http:// or https:// one in {there.scheme.upper()}_PROXY, or"
            f" {there.host} in NO_PROXY to do without"
        ) from error


def unusable_proxies(environment: Mapping[str, str]) -> list[str]:
    """The variables that name a proxy of another kind: where one is, httpx2 makes no client."""
    found = ((name, *value.partition("://")) for name, value in environment.items())
    return [
        name
        for name, kind, is_url, _ in found
        if name.lower() in PROXIES and is_url and kind.lower() not in KINDS
    ]


def is_of_this_machine(host: str) -> bool:
    """Whether it is a name of the machine that asks: its loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def wrong_with(url: str) -> str:
    """Why this is no address of a host; empty: it is one."""
    import httpx2

    try:
        there = httpx2.URL(url)
        # More that no host has: brackets that are not closed, ports beyond the last.
        _ = urlsplit(url).port
    except (httpx2.InvalidURL, ValueError) as error:
        return str(error)
    if there.scheme not in ("http", "https"):
        return "give it with https://"
    return "" if there.host else "it names no host"


def are_one_host(one: str, other: str) -> bool:
    """Whether two addresses are of one host: this machine has several names."""
    if one == other:
        return True
    if wrong_with(one) or wrong_with(other):
        return False
    import httpx2

    here, there = httpx2.URL(one), httpx2.URL(other)
    if (here.scheme, here.port) != (there.scheme, there.port):
        return False
    if here.path.rstrip("/") != there.path.rstrip("/"):
        return False
    return here.host == there.host or all(map(is_of_this_machine, (here.host, there.host)))


def foreign(url: str, answer: "httpx2.Response") -> str:
    """What is said of an answer that no Staunch gives; empty: it may be one's."""
    status, kind = answer.status_code, kind_of(answer)
    if answer.next_request is not None:
        place = str(answer.next_request.url.copy_with(query=None, fragment=None))
        server, is_ours, _ = place.partition(f"{API}/")
        if is_ours:
            return f"{url} answered with a redirect to {server}: use that address"
        return (
            f"{url} answered with a redirect to {place}, which is no address of Staunch's API:"
            " another program is there, or something in between that wants a login"
        )
    if kind != "text/html":
        return ""
    if status in AWAY:
        return (
            f"{url} answered {status} with a page ({kind}): what stands before Staunch there does"
            " not reach it; is `staunch up` running?"
        )
    return no_staunch(url, answer)


def no_staunch(url: str, answer: "httpx2.Response") -> str:
    """That it is another program's, and what to do."""
    kind = kind_of(answer)
    what = f"a page ({kind})" if kind == "text/html" else f"no JSON ({kind or 'of no type'})"
    return (
        f"{url} is no Staunch: it answered {answer.status_code} with {what}. Is the address right,"
        " and is nothing in between that wants a login?"
    )


def kind_of(answer: "httpx2.Response") -> str:
    """Its media type, without parameters."""
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()
