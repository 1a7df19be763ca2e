"""What a job may reach: the options `network` and `egress` of `step.job`, checked.

Here: their form. Whether a Runner allows it is the Runner's to say.
"""

import re
from typing import Any

TARGETS_MAX = 200
# A host, `*.` and a domain, or an address in brackets; then perhaps a port.
_TARGET = re.compile(r"(\*\.)?[A-Za-z0-9_.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def network_of(given: Any) -> str:
    """Raises ValueError for anything but the two that there are."""
    if given not in ("none", "egress"):
        raise ValueError(f'network must be "none" or "egress", not {given!r}')
    return str(given)


def reached(given: Any) -> list[str]:
    """Raises TypeError or ValueError where it is no list of targets."""
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise TypeError(f'egress must be a list of hosts, such as ["pypi.org"], not {given!r}')
    if len(given) > TARGETS_MAX:
        raise ValueError(f"egress may name {TARGETS_MAX} targets, not {len(given)}")
    for one in given:
        if not _TARGET.fullmatch(one):
            raise ValueError(
                f"egress: {one[:100]!r} is no target; write a host such as 'pypi.org',"
                " 'pypi.org:8443', or '*.example.org' for all hosts below"
            )
    return list(given)
