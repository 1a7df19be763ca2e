"""Ports of names: whose a repository's name is now, and where the names of Repos are kept.

A Repo is known by its Forge's id. Git and some APIs go by its name, which may change, and be
somebody else's then.
"""

from typing import Protocol

from pipelines.repo import Repo
from webhooks.forge import FoundRepo, Later, Refused


class Names(Protocol):
    """Names of repositories, asked of their Forges."""

    async def look_up(self, repo: Repo, name: str) -> FoundRepo | Later | Refused | None:
        """The repository that has this name now, on the Forge of `repo`; None: the Connection has
        no API that could be asked, or no token for it. Never raises for what a forge does.

        `name` may come from a payload. A forge that knows who had the name before answers with
        that one, and its name of today.
        """


class RepoBook(Protocol):
    """The Repos that are registered. Any method may raise Unavailable."""

    async def repo(self, repo: str) -> Repo | None:
        """By id, or None."""

    async def put_repo(self, repo: Repo) -> None:
        """Add or replace; durable when it returns."""


class OwnerSettings(Protocol):
    """What is given to all repositories of an owner, by the owner's name."""

    async def has(self, connection: str, owner: str) -> bool:
        """Whether anything is: a secret, or a policy. Raises Unavailable."""
