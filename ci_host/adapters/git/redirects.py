"""Redirects: what it means that a repository's address leads on to another one.

None is followed: where a forge sends git on to was registered by nobody, and the next one who
reads the old name may be sent elsewhere. Said is where it leads, so that somebody can judge.
"""

import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from ci_host.adapters.git.command import Answer, run_git
from ci_host.adapters.git.origin import Origin

PLACE_CHARS_MAX = 200
# What git asks an address for, and so where a renamed repository leads on to.
REFS_PATH = "/info/refs"

_REDIRECTED = re.compile(r"returned error: (30[12378])\b")
_LOCATION = re.compile(r"<= recv header: location:[ \t]*(\S+)", re.IGNORECASE)
_FOR_GOOD = frozenset({"301", "308"})


def place_after(folder: Path, origin: Origin, asked: Answer, timeout_s: float) -> str | None:
    """Where a repository is by now that could not be read, as its server says; empty: at a place
    that it does not name. None: it was not moved. Some other page, a log-in above all, is none."""
    code = _REDIRECTED.search(asked.said)
    if code is None:
        return None
    again = run_git(
        folder,
        "ls-remote",
        "--quiet",
        "--end-of-options",
        origin.url,
        "HEAD",
        protocol=origin.protocol,
        config=origin.config,
        timeout_s=timeout_s,
        is_told_headers=True,
    )
    found = _LOCATION.search(again.said)
    return _place(origin.url, found[1] if found else "", for_good=code[1] in _FOR_GOOD)


def _place(url: str, location: str, *, for_good: bool) -> str | None:
    """Pure, and of hostile text."""
    try:
        target = urlsplit(urljoin(f"{url}{REFS_PATH}", location)) if location else None
    except ValueError:
        target = None
    is_repo = target is not None and target.path.endswith(REFS_PATH)
    if not is_repo or target is None:
        return "" if for_good else None
    place = target._replace(path=target.path.removesuffix(REFS_PATH), query="", fragment="")
    shown = place._replace(netloc=target.netloc.rpartition("@")[2]).geturl()
    return "".join(char for char in shown if char.isprintable())[:PLACE_CHARS_MAX]
