"""Routes of environments: which refs' runs may name one. A rule is an administrator's."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ci_host.api.auth import Admin, Here, Seen
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.starting import find_repo
from ci_host.line_ports import EnvironmentRule

router = APIRouter(prefix="/api/v1", tags=["environments"])

REFS_MAX = 50
Glob = Annotated[str, Field(pattern=r"^[^\x00-\x20\x7f]+$", max_length=250)]

log = structlog.get_logger()


class NamedEnvironment(BaseModel):
    """Which: `repo` is the repository's name or id, `environment` what jobs call it."""

    repo: str
    environment: str = Field(min_length=1, max_length=250)


class EnvironmentBody(NamedEnvironment):
    """`refs`: globs of branches, or of full names as in `refs/tags/v*`. `by_hand`: also runs whose
    commit a person chose."""

    refs: list[Glob] = Field(min_length=1, max_length=REFS_MAX)
    by_hand: bool = False


@router.get("/environments", summary="List environments that are only for some refs")
async def list_rules(here: Here, seen: Seen) -> dict[str, Any]:
    """One that is not listed may be named by every run of its repository."""
    return {"environments": await rules_seen(here, seen)}


async def rules_seen(here: Services, seen: Sight) -> list[dict[str, Any]]:
    """Those that are in force. Raises Unavailable."""
    found = await here.catalog.environment_rules()
    return [_view(here, one) for one in found if one.refs is not None and seen.has(one.repo)]


@router.put("/environments", summary="Say which refs an environment is for")
async def put_rule(here: Here, who: Admin, body: EnvironmentBody) -> dict[str, Any]:
    """It holds for jobs that no runner has begun, from now on. What is at work stays so."""
    rule = EnvironmentRule(
        repo=find_repo(here, body.repo).id,
        environment=body.environment,
        refs=body.refs,
        by_hand=body.by_hand,
        by=who.name,
        at=here.now(),
    )
    await here.catalog.put_environment_rule(rule)
    log.info("environment_set", environment=rule.environment, repo=rule.repo, by=rule.by)
    return _view(here, rule)


@router.delete("/environments", summary="Have every run of a repository name an environment")
async def remove_rule(
    here: Here, who: Admin, named: Annotated[NamedEnvironment, Query()]
) -> dict[str, Any]:
    """No error where each may already."""
    repo = find_repo(here, named.repo).id
    rule = EnvironmentRule(repo=repo, environment=named.environment, by=who.name, at=here.now())
    await here.catalog.put_environment_rule(rule)
    log.info("environment_removed", environment=rule.environment, repo=rule.repo, by=rule.by)
    return _view(here, rule)


def _view(here: Services, rule: EnvironmentRule) -> dict[str, Any]:
    repo = here.directory.repos.get(rule.repo)
    return {
        "repo": repo.name if repo is not None else rule.repo,
        "environment": rule.environment,
        "refs": rule.refs,
        "by_hand": rule.by_hand,
        "by": rule.by,
        "at": rule.at,
    }
