"""Routes of badges: who may see a repository's, and where they are.

The picture itself is a page's matter (`web/badge.py`).
"""

import secrets
from typing import Any
from urllib.parse import quote, urlencode

import structlog
from fastapi import APIRouter
from pydantic import BaseModel

from ci_host.access import Token
from ci_host.api.auth import Admin, Here, Person
from ci_host.api.services import Services
from ci_host.api.sight import repos_named
from ci_host.api.starting import find_repo
from ci_host.badge import BadgeRule
from pipelines.repo import Repo

KEY_BYTES = 18

router = APIRouter(prefix="/api/v1/badges", tags=["installation"])

log = structlog.get_logger()


class BadgeBody(BaseModel):
    """Whose badge: the repository's name or id. `public`: it is for everybody. `with_key`: there is
    an address with a key, which shows it to whoever has that; `new_key`: with another key, so that
    the one before shows nothing any more."""

    repo: str
    public: bool = False
    with_key: bool = True
    new_key: bool = False


@router.get("", summary="Where a repository's badge is, and who may see it")
async def show_badge(here: Here, _who: Person, repo: str) -> dict[str, Any]:
    """`address` and `markdown` are of the branch `main`, else `master`, `trunk` or the one with the
    newest run; `branch=…` and `pipeline=…` in the address choose. `address` null: nobody sees it
    yet."""
    found = find_repo(here, repo)
    return badge_view(here, found, rule_of(here, found))


@router.put("", summary="Say who may see a repository's badge")
async def put_badge(here: Here, who: Admin, body: BadgeBody) -> dict[str, Any]:
    """A badge tells, of any branch whose name is asked for, whether it passes: declare it public
    only where everybody may know that."""
    repo = find_repo(here, body.repo)
    return badge_view(here, repo, await put_rule(here, who, repo, body))


async def put_rule(here: Services, who: Token, repo: Repo, body: BadgeBody) -> BadgeRule:
    """Durable when it returns. Raises Unavailable."""
    kept = "" if body.new_key else rule_of(here, repo).key
    rule = BadgeRule(
        repo=repo.id,
        is_public=body.public,
        key=(kept or secrets.token_urlsafe(KEY_BYTES)) if body.with_key else "",
        by=who.name,
        at=here.now(),
    )
    await here.catalog.put_badge_rule(rule)
    here.directory.badges[repo.id] = rule
    log.info("badge_set", repo=repo.id, public=rule.is_public, by=rule.by)
    return rule


def rule_of(here: Services, repo: Repo) -> BadgeRule:
    """The rule of a Repo; without one nobody sees its badge."""
    return here.directory.badges.get(repo.id) or BadgeRule(repo=repo.id)


def address_name(here: Services, repo: Repo) -> str:
    """A Repo's name, where it alone has it; else its id."""
    return repo.name if repos_named(here, repo.name) == [repo] else repo.id


def badge_path(here: Services, repo: Repo, rule: BadgeRule, **shown: str) -> str:
    """Where the picture is on this host. `shown`: branch, pipeline."""
    asked = {name: value for name, value in shown.items() if value}
    if not rule.is_public:
        asked["key"] = rule.key
    query = f"?{urlencode(asked)}" if asked else ""
    return f"/badge/{quote(address_name(here, repo))}.svg{query}"


def badge_markdown(here: Services, repo: Repo, rule: BadgeRule, branch: str, pipeline: str) -> str:
    """The line of a README: the picture, which leads to the repository's page."""
    url, name = here.settings.url, address_name(here, repo)
    shown = {"branch": branch} if branch else {}
    there = f"{url}/repos/{quote(name)}" + (f"?{urlencode(shown)}" if shown else "")
    picture = f"{url}{badge_path(here, repo, rule, branch=branch, pipeline=pipeline)}"
    return f"[![Staunch]({picture})]({there})"


def badge_view(here: Services, repo: Repo, rule: BadgeRule) -> dict[str, Any]:
    """As the API has it."""
    is_shown = rule.is_public or bool(rule.key)
    path = badge_path(here, repo, rule)
    return {
        "repo": repo.name,
        "public": rule.is_public,
        "key": rule.key or None,
        "address": f"{here.settings.url}{path}" if is_shown else None,
        "markdown": badge_markdown(here, repo, rule, "", "") if is_shown else None,
        "by": rule.by,
        "at": rule.at or None,
    }
