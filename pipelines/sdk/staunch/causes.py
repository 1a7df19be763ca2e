"""Who caused a Run, and whether somebody is one of them. Shared by host and guest."""

from collections.abc import Iterable, Mapping
from typing import Any


def causes(started: Mapping[str, Any]) -> list[str]:
    """Whose act began the Run: the event's sender, its pull request's author, who had it rerun or
    forked. And who caused the Runs that it continues, or that called it.
    """
    event = started.get("event", {})
    request = event.get("pull_request") or {}
    rerun, fork = started.get("rerun") or {}, started.get("fork") or {}
    names = [event.get("sender", ""), request.get("author", ""), rerun.get("by", "")]
    names += (started.get("continues") or {}).get("causes", [])
    names.append(fork.get("by", ""))
    names += (started.get("parent") or {}).get("causes", [])
    return list(dict.fromkeys(name for name in names if name))


def is_among(name: str, people: Iterable[str]) -> bool:
    """Whether a token's name is one of these, as forges see it: upper and lower case are one."""
    return name.casefold() in {one.casefold() for one in people}
