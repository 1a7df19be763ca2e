"""The life cycle of a pull request: what the ways in which it goes on ask for, if anything.

Pure. Its beginning, new commits and the end of its being a draft are what is built.
"""

from webhooks.forge import Ignored
from webhooks.payload import name_of

MERGED = Ignored(
    "a pull request that was merged asks for nothing: what it made of its base is a push"
)
CLOSED = Ignored(
    "a closed pull request asks for nothing; what runs of it goes on, unless it is cancelled"
)


def unbuilt(action: str | None) -> Ignored:
    """Of an action after which there is the same to be built as before."""
    return Ignored(f"{name_of(action)!r} on a pull request does not change what is to be built")


def was_draft(title: str) -> bool:
    """Whether a title calls it a draft, on forges that have no other word for it."""
    # Gitea's and Forgejo's WORK_IN_PROGRESS_PREFIXES, as they come; their case does not matter.
    return title.lower().startswith(("wip:", "[wip]"))
