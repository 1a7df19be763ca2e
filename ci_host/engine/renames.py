"""Renames: has a Repo's name and place follow its Forge, and says whether a name still is its own.

A Repo is known by its Forge's id. Git goes by its place, which has its name in it; a name may
change, and be somebody else's then, whose code must not run as the Repo's. Hence two rules. A name
that an event has is a hint: it is looked up, and taken if the Forge says that it is of the Repo's
id. And what was read by a name alone, without a commit that a signed call named, is believed when
the Forge has said that the name is the Repo's still: `check`.

A place that is a path on this machine was chosen by the operator, and is nobody else's. Where there
is no API to ask, all is as it was registered.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
import structlog

from ci_host.audit import Deed
from ci_host.engine.unwanted import Unwanted
from ci_host.name_ports import Names, OwnerSettings, RepoBook
from ci_host.ports import SourceElsewhere, SourceRefused, SourceUnavailable
from pipelines.repo import Repo
from webhooks.forge import FoundRepo, Later, Refused

# A name that led to nothing new is not looked up again for so long, whoever says it.
REMEMBERED_S = 300.0
# Of how many names that is remembered, of all Repos.
REMEMBERED_MAX = 10_000
# A Forge that does not answer is let alone for so long, if it names no time.
LATER_S = 30.0
NAME_SHOWN_MAX = 100
ACT = "repository renamed at its forge"

log = structlog.get_logger()


class NotOurs(SourceElsewhere):
    """The Forge has said that a name is not the Repo's, or not by what is registered of it."""


class Deeds(Protocol):
    """Where is kept what was changed."""

    async def record(self, deed: Deed) -> None:
        """Durable when it returns. Raises Unavailable."""


class Renames:
    """For the tasks of one event loop. What it remembers is a saving."""

    def __init__(
        self,
        names: Names,
        book: RepoBook,
        owners: OwnerSettings,
        deeds: Deeds,
        *,
        now: Callable[[], float],
        elapsed: Callable[[], float],
    ) -> None:
        """`now`: seconds since the epoch; `elapsed`: of a clock that nobody sets."""
        self._names, self._book = names, book
        self._owners, self._deeds = owners, deeds
        self._now, self._elapsed = now, elapsed
        self._locks: dict[str, asyncio.Lock] = {}
        # Until when a name is not looked up again, and why events with it are unwanted, if so.
        self._known: dict[tuple[str, str], tuple[float, str]] = {}
        self._later: dict[str, tuple[float, Later]] = {}
        self._own: dict[str, tuple[float, Repo]] = {}
        self._asides: dict[str, str] = {}

    async def repo(self, id_: str, name: str) -> Repo | None:
        """The Repo of that id as it is called now; `name`: what a verified event calls it. None: it
        is not registered.

        Raises Unwanted (what is registered of it leads elsewhere by now), SourceUnavailable.
        """
        repo = await self._book.repo(id_)
        if repo is None or name in (repo.name, ""):
            self._asides.pop(id_, None)
            return repo
        async with self._locks.setdefault(id_, asyncio.Lock()):
            # Whoever was here before may have seen to it.
            repo = await self._book.repo(id_) or repo
            if repo.name == name:
                return repo
            until, why = self._known.get((id_, name), (0.0, ""))
            if self._elapsed() >= until:
                repo, why = await self._heard(repo, name)
        if why:
            raise Unwanted(why)
        return repo

    def aside(self, repo: Repo) -> str:
        """What is to be said when something of it cannot be fetched: that its events call it by
        another name. Empty: they do not."""
        return self._asides.get(repo.id, "")

    async def check(self, repo: Repo, *, within_s: float = 0.0) -> Repo | Later:
        """The Repo as it is called now: the same if its name still is its own, else it was renamed,
        and that was followed. Later: its Forge does not say, for now.

        `within_s`: what was said that lately will do. Raises SourceRefused: the name is another's,
        or nobody can say.
        """
        if _is_path(repo):
            return repo
        at, said = self._own.get(repo.id, (0.0, None))
        if said == repo and self._elapsed() - at < within_s:
            return repo
        told = await self._ask(repo, repo.name)
        match told:
            case None:
                return repo
            case Later():
                return told
            case Refused(reason):
                raise SourceRefused(
                    f"its forge does not say whether {repo.name} still is repository"
                    f" {repo.external_id}, which is registered: {reason}"
                )
        if told.external_id != repo.external_id:
            raise NotOurs(
                f"{repo.name} is another repository now (id {told.external_id}, not"
                f" {repo.external_id}): nothing of that one is built. If yours was renamed,"
                f" register it with its new name: {_advice(repo)}"
            )
        if told.name == repo.name:
            self._own[repo.id] = (self._elapsed(), repo)
            return repo
        return await self._follow(repo, told)

    async def _heard(self, repo: Repo, name: str) -> tuple[Repo, str]:
        """The Repo after an event called it so, and why such events are unwanted, if they are.
        Raises SourceUnavailable."""
        told = await self._ask(repo, name)
        if isinstance(told, Later):
            raise _unsaid(repo, name, told)
        found: Repo | Later = repo
        why = ""
        try:
            if isinstance(told, FoundRepo) and told.external_id == repo.external_id:
                found = repo if told.name == repo.name else await self._follow(repo, told)
            else:
                self._say_aside(repo, name, told)
                found = repo if told is None else await self.check(repo)
        except SourceRefused as refused:
            why = str(refused)
        if isinstance(found, Later):
            raise _unsaid(repo, name, found)
        self._remember(found, name, why)
        return found, why

    def _say_aside(self, repo: Repo, name: str, told: FoundRepo | Refused | None) -> None:
        match told:
            case None:
                why = f"connection {repo.connection} has no API, or no token, to ask whether it is"
            case FoundRepo():
                why = f"that is another repository (id {told.external_id})"
            case Refused(reason):
                why = f"its forge does not say so: {reason}"
        said = f"an event calls it {_shown(name)}, and {why}; if it was renamed: {_advice(repo)}"
        if self._asides.get(repo.id) != said:
            log.warning("rename_not_followed", repo=repo.id, known_as=repo.name, reason=said)
        self._asides[repo.id] = said

    def _remember(self, repo: Repo, name: str, why: str) -> None:
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        self._known[repo.id, name] = (self._elapsed() + REMEMBERED_S, why)

    async def _ask(self, repo: Repo, name: str) -> FoundRepo | Later | Refused | None:
        until, later = self._later.get(repo.connection, (0.0, None))
        if later is not None and self._elapsed() < until:
            return later
        told = await self._names.look_up(repo, name)
        if isinstance(told, Later):
            pause = min(told.retry_after_s or LATER_S, REMEMBERED_S)
            self._later[repo.connection] = (self._elapsed() + pause, told)
        return told

    async def _follow(self, repo: Repo, found: FoundRepo) -> Repo:
        """Under the name that the Forge itself has for its id. Raises NotOurs: not by ourselves."""
        known = await self._book.repo(repo.id)
        if known is not None and known.name == found.name:
            return known
        place = repo.clone_url if _is_path(repo) else found.clone_url
        if why := await self._hindrance(repo, found.name, place):
            raise NotOurs(f"{repo.name} is called {found.name} by now, and {why}: {_advice(repo)}")
        named = msgspec.structs.replace(repo, name=found.name, clone_url=place)
        on = {"connection": repo.connection, "external_id": repo.external_id}
        on |= {"repo": repo.name, "name": named.name, "url": named.clone_url}
        # Before it is done: whoever dies between the two comes here again.
        await self._deeds.record(Deed(at=self._now(), by="staunch", token="", act=ACT, on=on))
        await self._book.put_repo(named)
        log.info("repo_renamed", repo=repo.id, before=repo.name, after=named.name, place=place)
        self._known = {key: one for key, one in self._known.items() if key[0] != repo.id}
        self._own[repo.id] = (self._elapsed(), named)
        self._asides.pop(repo.id, None)
        return named

    async def _hindrance(self, repo: Repo, name: str, place: str) -> str:
        """Why a person has to say so; empty: nobody has."""
        if not _is_path(repo) and _host(place) != _host(repo.clone_url):
            return f"is cloned from {place}, which is not where it was registered at; register it"
        owner = name.rpartition("/")[0]
        if owner.lower() == repo.name.rpartition("/")[0].lower():
            return ""
        # Whoever has an owner's name now need not be whom it was given to.
        if await self._owners.has(repo.connection, owner):
            return f"{owner} has secrets or a policy here, which it would get; register it again"
        return ""


def _unsaid(repo: Repo, name: str, told: Later) -> SourceUnavailable:
    return SourceUnavailable(
        f"an event calls {repo.name} {_shown(name)}, and its forge does not say now which it is:"
        f" {told.reason}"
    )


def _shown(name: str) -> str:
    """A name from a payload, in one line."""
    return "".join(one if one.isprintable() else " " for one in name)[:NAME_SHOWN_MAX]


def _is_path(repo: Repo) -> bool:
    return repo.clone_url.startswith("/")


def _host(url: str) -> tuple[str, str]:
    """Where it is; of what is no URL: nowhere."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc.lower()


def _advice(repo: Repo) -> str:
    return (
        f"`staunch repo add <its clone URL> --name <its name> --connection {repo.connection}"
        f" --forge <kind> --id {repo.external_id}`"
    )
