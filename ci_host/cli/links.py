"""Links: what people paste from a browser, taken apart: a run, one of its jobs, lines of its log.

A link says which run is meant and never whom to ask: a key goes to the host that was chosen, and
not to wherever a link points.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

# `#L3-L9`, or with the job that the page may show another one of: `#eu/unit/L3-L9`.
_LINES = re.compile(r"(?:(?P<job>.+)/)?L(?P<first>\d{1,9})(?:-L(?P<last>\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class RunLink:
    """`run`: its id, or the beginning of it. `first`, `last`: numbers of lines; 0: none named."""

    run: str
    job: str = ""
    attempt: int = 0
    service: str = ""
    first: int = 0
    last: int = 0


def link_of(text: str) -> RunLink:
    """What an id, or the address of a run's page, names."""
    if not text.startswith(("http://", "https://")):
        return RunLink(text)
    try:
        there = urlsplit(text)
    except ValueError:
        return RunLink(text)
    _, found, rest = there.path.partition("/runs/")
    run = unquote(rest.strip("/"))
    if not found or not run:
        return RunLink(text)
    asked = {name: values[-1] for name, values in parse_qs(there.query).items()}
    attempt = asked.get("attempt", "")
    lines = _LINES.fullmatch(there.fragment)
    numbers = sorted(int(one) for one in lines.group("first", "last") if one) if lines else [0]
    return RunLink(
        run=run,
        job=asked.get("job") or unquote(lines["job"] or "" if lines else ""),
        attempt=int(attempt) if attempt.isascii() and attempt.isdecimal() else 0,
        service=asked.get("service", ""),
        first=numbers[0],
        last=numbers[-1],
    )
