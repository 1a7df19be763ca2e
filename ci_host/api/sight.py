"""Sight: which repositories somebody sees, and how a request's repository is found.

Whoever sees only some gets of all others exactly what they get of those that do not exist.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection, Request

from ci_host.access import Level, Token
from ci_host.adapters.sql import queries
from ci_host.api.bodies import read_form
from ci_host.api.permissions import Place
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from pipelines.ids import RunId, is_run_id, shard_of
from pipelines.repo import Repo

FOR_MACHINES = "/api/"


@dataclass(frozen=True, slots=True)
class Sight:
    """The ids of the Repos that somebody sees; None: all that there are, and were."""

    repos: frozenset[str] | None = None

    def has(self, repo: str) -> bool:
        """Whether a Repo is seen."""
        return self.repos is None or repo in self.repos


async def sight_of(here: Services, who: Token) -> Sight:
    """What somebody sees at this moment."""
    if who.connection:
        return Sight(await here.levels.seen(who, list(here.directory.repos.values())))
    return Sight(frozenset(who.repos) if who.is_narrowed else None)


async def level_in(here: Services, who: Token, repo: str) -> Level | None:
    """What somebody may do in a Repo; None: not even know of it."""
    if who.connection:
        known = here.directory.repos.get(repo)
        return None if known is None else await here.levels.level(who, known)
    return who.level_in(repo)


def no_such_run(text: str) -> Problem:
    """The same of a Run that is not, and of one that is not seen."""
    return Problem(404, "No such run", f"There is no run {text!r}; `staunch runs` lists them.")


def no_such_job(job: str) -> Problem:
    """The same of a Job that is not, and of one that is not seen."""
    return Problem(404, "No such job", f"There is no job {job!r}; `staunch show` lists them.")


def no_such_repo(name: str, known: Sequence[str]) -> Problem:
    """The same of a Repo that is not, and of one that is not seen; `known`: those that are."""
    names = ", ".join(sorted(known)) or "none"
    return Problem(404, "No such repository", f"{name!r} is not registered (there is: {names}).")


def several_repos(name: str, found: Sequence[Repo]) -> Problem:
    """A name that repositories of several connections have: none of them is meant by it alone.

    `found`: those that may be shown to whoever asked.
    """
    ids = ", ".join(sorted(repo.id for repo in found))
    told = f"Several are called {name!r}; say which one by its id: {ids}."
    return Problem(409, "More than one repository", told)


def more_than_one(text: str, found: Sequence[str]) -> Problem:
    """The beginning of an id that several have."""
    return Problem(409, "More than one run", f"{text!r} begins {', '.join(found)}; type more.")


def is_whole(here: Services, text: str) -> bool:
    """Whether it is all of a Run's id."""
    return is_run_id(text) and shard_of(RunId(text)) < here.settings.shards


async def repos_of(here: Services, who: Token, asked: HTTPConnection, place: Place) -> list[str]:
    """The ids of the Repos that a request is about, for somebody who sees only some.

    A Run that is named by the beginning of its id is looked for among those that are seen, and the
    path is completed, so that nobody takes it for another. Raises Problem.
    """
    if place is Place.RUN:
        run, repo = await _run_in_sight(here, who, asked.path_params["run"])
        asked.scope["path_params"] = {**asked.path_params, "run": run}
        return [repo]
    if place is Place.JOB:
        job = asked.path_params["job"]
        found = await repo_of_run(here, job.partition(".")[0])
        if found is None or await level_in(here, who, found) is None:
            raise no_such_job(job)
        return [found]
    named = await _named(asked)
    return [(await _repo_in_sight(here, who, one)).id for one in named]


async def _run_in_sight(here: Services, who: Token, text: str) -> tuple[str, str]:
    repo = await repo_of_run(here, text)
    if repo is not None and await level_in(here, who, repo) is not None:
        return text, repo
    seen = await sight_of(here, who)
    found = await asyncio.to_thread(queries.find_runs, here.model, text, seen.repos)
    if len(found) > 1:
        raise more_than_one(text, found)
    repo = await repo_of_run(here, found[0]) if found else None
    if repo is None:
        raise no_such_run(text)
    return found[0], repo


async def repo_of_run(here: Services, run: str) -> str | None:
    """By its History; an imported one has none."""
    if not is_run_id(run):
        return None
    started = await here.history.started(RunId(run)) if is_whole(here, run) else None
    if started is not None:
        return started.repo
    return await asyncio.to_thread(queries.repo_of_run, here.model, run)


async def _named(asked: HTTPConnection) -> list[str]:
    """Every repository that a request names: whichever its route takes is among them."""
    found = [asked.path_params.get("repo", ""), *asked.query_params.getlist("repo")]
    if not isinstance(asked, Request) or asked.method in ("GET", "HEAD", "DELETE"):
        return [one for one in found if one]
    # As the route will read it: whoever calls must not have us look at another form of it.
    if not asked.url.path.startswith(FOR_MACHINES):
        found.append((await read_form(asked)).get("repo", ""))
    else:
        try:
            body = await asked.json()
        except ValueError:
            body = None
        said = body.get("repo") if isinstance(body, dict) else None
        found.append(said if isinstance(said, str) else "")
    return [one for one in found if one]


async def _repo_in_sight(here: Services, who: Token, name: str) -> Repo:
    # The same one that the route itself will find, so that two of a name are never mixed up.
    named = repos_named(here, name)
    found = [one for one in named if await level_in(here, who, one.id) is not None]
    if found and len(named) > 1:
        raise several_repos(name, found)
    if found:
        return found[0]
    seen = await sight_of(here, who)
    known = [repo.name for repo in here.directory.repos.values() if seen.has(repo.id)]
    raise no_such_repo(name, known)


def named_repo(here: Services, name: str) -> Repo | None:
    """The Repo of this id, or else of this name. Raises Problem: several forges have one."""
    found = repos_named(here, name)
    if len(found) > 1:
        raise several_repos(name, found)
    return found[0] if found else None


def repos_named(here: Services, name: str) -> list[Repo]:
    """The Repo of this id, or else all of this name: each forge may have one."""
    known = here.directory.repos
    if name in known:
        return [known[name]]
    return [repo for repo in known.values() if repo.name == name]
