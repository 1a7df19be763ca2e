"""Names, RepoBook, OwnerSettings and Deeds in memory, for tests and the simulator."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ci_host.audit import Deed
from pipelines.repo import Repo
from webhooks.forge import FoundRepo, Later, Refused


@dataclass
class MemoryNames:
    """See Names. `found`: what is said of a name; None: there is no API to ask."""

    found: dict[str, FoundRepo | Later | Refused] | None = None
    asked: list[str] = field(default_factory=list)

    async def look_up(self, repo: Repo, name: str) -> FoundRepo | Later | Refused | None:
        if self.found is None:
            return None
        self.asked.append(name)
        return self.found.get(name, Refused("the forge answered 404: Not Found"))


@dataclass
class MemoryBook:
    """See RepoBook."""

    repos: dict[str, Repo] = field(default_factory=dict)

    async def repo(self, repo: str) -> Repo | None:
        return self.repos.get(repo)

    async def put_repo(self, repo: Repo) -> None:
        self.repos[repo.id] = repo


@dataclass
class MemoryOwnerSettings:
    """See OwnerSettings. `given`: the connection and the name of each owner that has something."""

    given: set[tuple[str, str]] = field(default_factory=set)

    async def has(self, connection: str, owner: str) -> bool:
        return (connection, owner) in self.given


@dataclass
class MemoryDeeds:
    """See Deeds."""

    deeds: list[Deed] = field(default_factory=list)

    async def record(self, deed: Deed) -> None:
        self.deeds.append(deed)


def named_by(repos: Mapping[str, Repo]) -> dict[str, FoundRepo | Later | Refused]:
    """A forge on which each has the name and the place that are registered."""
    return {one.name: FoundRepo(one.external_id, one.name, one.clone_url) for one in repos.values()}
