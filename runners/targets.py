"""Targets: what a job may reach, as its operator and its author write it. Pure.

    pypi.org            this host, at ports 443 and 80
    pypi.org:8443       at this port only
    *.pythonhosted.org  every host below, not the domain itself
    *                   every host of the internet

Here: the patterns. Which addresses a name may have is `addresses`. Standard library only: the
proxy of every job reads them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

PORTS_DEFAULT = (443, 80)
TARGETS_MAX = 200
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,62})?"
HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z|(?=.*:)[0-9a-f:.]{{2,45}}\Z")


class BadTarget(ValueError):
    """A pattern that means nothing; the message says what would."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of a list. `host` is a host, `*.` and a domain, or `*`."""

    host: str
    ports: tuple[int, ...]

    def matches(self, host: str, port: int) -> bool:
        """`host` as `cleaned` gives it."""
        return port in self.ports and _covers(self.host, host)

    def lets(self, wanted: str, port: int) -> bool:
        """Whether this one matches whatever another with the host `wanted` does, at the port."""
        return port in self.ports and (self.host == wanted or _covers(self.host, wanted))

    def __str__(self) -> str:
        ports = "" if self.ports == PORTS_DEFAULT else f":{self.ports[0]}"
        return f"[{self.host}]{ports}" if ":" in self.host else f"{self.host}{ports}"


def _covers(pattern: str, host: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.removeprefix("*").endswith(pattern[1:]) and host not in ("*", pattern[2:])
    return host == pattern


def cleaned(host: str) -> str | None:
    """A host's one spelling, or None where it is none."""
    host = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    return host if HOST.match(host) else None


def parse(text: str) -> Pattern:
    """Raises BadTarget."""
    host, port = _split(text.strip())
    any_below = host.startswith("*.")
    name = "*" if host == "*" else cleaned(host.removeprefix("*."))
    if name is None or (any_below and ":" in name):
        raise BadTarget(
            f"{text[:100]!r} is no target; write a host such as pypi.org, pypi.org:8443, or"
            " *.example.org for all hosts below"
        )
    return Pattern(f"*.{name}" if any_below else name, PORTS_DEFAULT if port is None else (port,))


def parse_all(texts: Iterable[str]) -> list[Pattern]:
    """Entries that may themselves be lists, with commas between. Raises BadTarget."""
    found = [parse(one) for text in texts for one in text.split(",") if one.strip()]
    if len(found) > TARGETS_MAX:
        raise BadTarget(f"there are {len(found)} targets; at most {TARGETS_MAX} are looked at")
    return found


def parse_exact(text: str) -> Pattern:
    """A host with its port, neither of them left open. Raises BadTarget."""
    pattern = parse(text)
    if "*" in pattern.host or len(pattern.ports) != 1:
        raise BadTarget(f"{text[:100]!r} must be one host and its port, such as git.internal:3000")
    return pattern


def split_host(text: str, port: int | None = None) -> tuple[str, int] | None:
    """`host:port` of a request, the host cleaned; None where it is neither. `port`: if unsaid."""
    try:
        host, said = _split(text)
    except BadTarget:
        return None
    name, number = cleaned(host), port if said is None else said
    return None if name is None or number is None else (name, number)


def _split(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise BadTarget(f"{text[:100]!r} is no target: its bracket is not closed")
        said = rest[1:]
    elif text.count(":") == 1:
        host, _, said = text.partition(":")
    else:
        host, said = text, ""
    if not said:
        return host, None
    if not re.fullmatch(r"[0-9]{1,5}", said) or not 1 <= int(said) <= 65_535:
        raise BadTarget(f"{text[:100]!r} is no target: a port is a number from 1 to 65535")
    return host, int(said)
