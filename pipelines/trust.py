"""Trust: whose changes a Run's code may be, and so what its Jobs may have.

Here: the tiers and the rule, pure. What each tier may do is said where it is done: secrets are
for the trusted only, caches flow from the trusted to the others and never back.
"""

from enum import StrEnum

from pipelines.event import Event


class Tier(StrEnum):
    """`untrusted`: the code may be of somebody who cannot write to the repository."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


def tier_of(event: Event) -> Tier:
    """By what the Forge itself signed: the head of a pull request lies in another repository, or
    in one that is gone. Names, authors and texts say nothing."""
    request = event.pull_request
    if request is not None and (request.is_fork or request.head_repo is None):
        return Tier.UNTRUSTED
    return Tier.TRUSTED
