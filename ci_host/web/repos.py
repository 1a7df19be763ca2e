"""Repos: the page of all repositories, and one's own: how its branches stand, and what waits."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from ci_host.access import Token
from ci_host.adapters.sql import branches
from ci_host.adapters.sql.flaky_tests import flaky_of_repo
from ci_host.adapters.sql.tables import RunRow
from ci_host.api.asked import asked
from ci_host.api.auth import Admin, Here, Person, Seen
from ci_host.api.badges import (
    BadgeBody,
    address_name,
    badge_markdown,
    badge_path,
    put_rule,
    rule_of,
)
from ci_host.api.bodies import read_form
from ci_host.api.branches import NAME_CHARS_MAX, full_ref, health_of, main_branch
from ci_host.api.gates import gates_seen
from ci_host.api.schedules import listed
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.starting import find_repo
from ci_host.web.bars import HEIGHT, SHOWN, STEP, bars
from ci_host.web.forge_links import links_of
from ci_host.web.page import PageRoute, pages_of
from ci_host.web.words import ref_name
from pipelines.repo import Repo

PAGE_REPOS = 50
COUNTED = 100
FLAKY_SHOWN = 10
SCHEDULES_SHOWN = 5
NO_COMMIT = "0" * 40
DRAWING = {"bar_step": STEP, "bar_height": HEIGHT, "bars_max": SHOWN}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Looked:
    """What the address of a repository's page asks for."""

    branch: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = ""
    pipeline: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = ""


@router.get("/repos")
async def repos_page(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    after: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = "",
) -> Response:
    """Each repository with its main branch's newest runs, by name."""
    known = sorted(
        (one for one in here.directory.repos.values() if seen.has(one.id)),
        key=lambda one: (one.name, one.id),
    )
    left = [one for one in known if f"{one.name} {one.id}" > after]
    shown = left[:PAGE_REPOS]
    rows = await asyncio.to_thread(_newest_of, here, shown)
    return pages_of(request).answer(
        request,
        "repos.html",
        who=who,
        repos=[(one, address_name(here, one), *rows[one.id]) for one in shown],
        following=f"{shown[-1].name} {shown[-1].id}" if len(left) > len(shown) else None,
        now=here.now(),
        **DRAWING,
    )


def _newest_of(here: Services, repos: list[Repo]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for repo in repos:
        newest = branches.branches(here.model, repo.id)
        ref = main_branch(newest)
        rows = branches.runs_of_branch(here.model, repo.id, ref, limit=SHOWN) if ref else []
        found[repo.id] = (ref, rows[0] if rows else None, bars(rows, here.now()))
    return found


@router.get("/repos/{repo:path}")
async def repo_page(
    here: Here,
    who: Person,
    request: Request,
    repo: str,
    looked: Annotated[Looked, Depends(asked(Looked))],
) -> Response:
    """One repository: a branch's runs, all branches, flaky tests, what is due and what waits."""
    found = find_repo(here, repo)
    connection = here.directory.find(found.connection)
    stands = await asyncio.to_thread(_stands, here, found, looked)
    waits = await gates_seen(here, who, Sight(frozenset({found.id})))
    return pages_of(request).answer(
        request,
        "repo.html",
        who=who,
        repo=found,
        address=address_name(here, found),
        forge=links_of(found, connection.kind if connection else None, NO_COMMIT).base,
        looked=looked,
        gates=waits,
        schedules=await _due(here, found),
        badge=_badge(here, who, found, stands["branch"], looked.pipeline),
        now=here.now(),
        **stands,
        **DRAWING,
    )


def _stands(here: Services, repo: Repo, looked: Looked) -> dict[str, Any]:
    """What the read model knows of it. Blocking."""
    newest = branches.branches(here.model, repo.id)
    ref = full_ref(looked.branch) if looked.branch else main_branch(newest)
    rows: list[RunRow] = []
    if ref:
        found = branches.runs_of_branch(here.model, repo.id, ref, looked.pipeline, COUNTED)
        rows = list(found)
    return {
        "branch": ref_name(ref),
        "branches": newest,
        "pipelines": branches.pipelines_of_branch(here.model, repo.id, ref) if ref else [],
        "bars": bars(rows, here.now()),
        "health": health_of(rows),
        "counted": len(rows),
        "flaky": flaky_of_repo(here.model, repo.id, FLAKY_SHOWN),
    }


async def _due(here: Services, repo: Repo) -> list[dict[str, Any]]:
    """Its schedules, the next first; those that begin nothing last."""
    found = await listed(here, Sight(frozenset({repo.id})), repo.id, 0, 1)
    schedules: list[dict[str, Any]] = found["schedules"]
    return sorted(schedules, key=lambda one: one["next"] or float("inf"))[:SCHEDULES_SHOWN]


def _badge(here: Services, who: Token, repo: Repo, branch: str, pipeline: str) -> dict[str, Any]:
    rule = rule_of(here, repo)
    return {
        "rule": rule,
        "is_shown": rule.is_public or bool(rule.key),
        "may_set": who.admin,
        "path": badge_path(here, repo, rule, branch=branch, pipeline=pipeline),
        "markdown": badge_markdown(here, repo, rule, branch, pipeline),
    }


ACTS = {
    "public": {"public": True},
    "key": {"public": False},
    "new-key": {"public": False, "new_key": True},
    "off": {"public": False, "with_key": False},
}


@router.post("/badges")
async def set_badge(here: Here, who: Admin, request: Request) -> Response:
    """Who may see the badge; as the API does it."""
    form = await read_form(request)
    repo = find_repo(here, form.get("repo", ""))
    wish = ACTS.get(form.get("act", ""), ACTS["off"])
    await put_rule(here, who, repo, BadgeBody(repo=repo.id, **wish))
    return RedirectResponse(f"/repos/{repo.id}#badge", 303)
