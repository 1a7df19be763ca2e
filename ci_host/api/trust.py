"""Routes of trust: policies, the pull requests that wait for an approval, and approving them.

A policy is an administrator's. Who may approve is decided in `ci_host/engine/admissions.py`.
"""

from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ci_host.access import Token
from ci_host.api.auth import Admin, Here, Person, Seen
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.starting import find_repo, start_by_delivery
from ci_host.ports import SourceRefused, SourceUnavailable
from ci_host.trust_ports import Held
from pipelines.refs import is_commit
from pipelines.trust import Admission, TrustPolicy
from webhooks.manual import ManualStart

router = APIRouter(prefix="/api/v1/trust", tags=["trust"])

APPROVERS_MAX = 50
SCOPE_CHARS_MAX = 300
Scope = Annotated[str, Field(max_length=SCOPE_CHARS_MAX, pattern=r"^[^\x00-\x20\x7f]*$")]
Name = Annotated[str, Field(min_length=1, max_length=250)]

log = structlog.get_logger()


class NamedScope(BaseModel):
    """For whom: empty for all, a connection's id, `<connection>:<owner>`, or a repository's name or
    id."""

    scope: Scope = ""


class PolicyBody(NamedScope):
    """How pull requests from other repositories are admitted, by who their author is there."""

    members: Admission = Admission.BASE
    strangers: Admission = Admission.BASE
    newcomers: Admission = Admission.APPROVAL
    approvers: list[Name] = Field(default=[], max_length=APPROVERS_MAX)


class ApprovalBody(BaseModel):
    """Which commit of which pull request. All of the commit's id: nothing else is approved."""

    repo: str
    number: int = Field(ge=1)
    commit: str


@router.get("/policies", summary="List the policies of trust")
async def list_policies(here: Here, seen: Seen) -> dict[str, Any]:
    """The narrowest counts. The default one is listed too, as it would be without any."""
    return {"policies": await policies_of(here, seen)}


async def policies_of(here: Services, seen: Sight) -> list[dict[str, Any]]:
    """Those that there are, as the API shows them, the widest first. Whoever sees only some
    repositories sees theirs alone."""
    found = [one for one in await here.trust.policies() if not one.removed]
    if not any(one.scope == "" for one in found):
        found.append(TrustPolicy())
    shown = sorted((one for one in found if seen.has(one.scope)), key=lambda one: one.scope)
    return [_policy(here, one) for one in shown]


@router.put("/policies", summary="Say how strangers' pull requests are admitted")
async def put_policy(here: Here, who: Admin, body: PolicyBody) -> dict[str, Any]:
    """It counts from the next delivery on; what runs already goes on as it was judged."""
    policy = TrustPolicy(
        scope=_scope(here, body.scope),
        members=body.members,
        strangers=body.strangers,
        newcomers=body.newcomers,
        approvers=sorted(set(body.approvers)),
        by=who.name,
        at=here.now(),
    )
    await here.trust.put_policy(policy)
    log.info("trust_policy_set", **msgspec.to_builtins(policy))
    return _policy(here, policy)


@router.delete("/policies", summary="Remove a policy of trust")
async def remove_policy(
    here: Here, who: Admin, named: Annotated[NamedScope, Query()]
) -> dict[str, Any]:
    """The next wider one counts then. No error where there is none."""
    scope = _scope(here, named.scope)
    policy = TrustPolicy(scope=scope, removed=True, by=who.name, at=here.now())
    await here.trust.put_policy(policy)
    log.info("trust_policy_removed", scope=scope, by=who.name)
    return {"scope": scope, "removed": True}


@router.get("/held", summary="List pull requests that wait for an approval")
async def list_held(here: Here, seen: Seen) -> dict[str, Any]:
    """Titles and names are the words of whoever opened them."""
    return {"held": [view_of(one) for one in await held_seen(here, seen)]}


async def held_seen(here: Services, seen: Sight) -> list[Held]:
    """Those of the repositories that are seen."""
    return [one for one in await here.admissions.waiting() if seen.has(one.repo)]


@router.post("/approvals", summary="Let the pipeline of one commit of a pull request run")
async def approve(here: Here, who: Person, body: ApprovalBody) -> dict[str, Any]:
    """It runs without secrets, as a stranger's. What is pushed after it waits for another one."""
    return await approve_commit(here, who, body)


async def approve_commit(here: Services, who: Token, body: ApprovalBody) -> dict[str, Any]:
    """Keep the approval, then have it go the way of all Deliveries. Repeating it is harmless.

    Raises Problem, PersonRefused.
    """
    if not is_commit(body.commit):
        raise Problem(
            422, "No commit", f"{body.commit!r} is no full commit id; `staunch trust held` shows it"
        )
    repo = find_repo(here, body.repo)
    held = await here.admissions.approve(repo, body.number, body.commit, who)
    start = ManualStart(external_id=repo.external_id, name=repo.name, event=held.event, pipeline="")
    id_ = f"approved-{repo.external_id}-{body.number}-{body.commit}"
    return {**view_of(held), "runs": await start_by_delivery(here, repo, start, id_)}


@router.get("/explain", summary="Say how a pull request would be judged now, and why")
async def explain(
    here: Here, _who: Person, repo: str, number: Annotated[int, Query(ge=1)]
) -> dict[str, Any]:
    """By what the forge's API says at this moment."""
    found = find_repo(here, repo)
    try:
        told = await here.admissions.explain(found, number)
    except SourceUnavailable as error:
        raise Problem(503, "The forge does not answer", f"{error}; ask again") from error
    except SourceRefused as error:
        raise Problem(409, "The forge does not say", str(error)) from error
    return {
        "repo": found.name,
        "number": number,
        "verdict": msgspec.to_builtins(told.verdict),
        "policy": _policy(here, told.policy),
        "facts": msgspec.to_builtins(told.facts),
        "approval": msgspec.to_builtins(told.approval),
    }


def view_of(held: Held) -> dict[str, Any]:
    """A held pull request as the API shows it."""
    request = held.event.pull_request
    return {
        "repo": held.name,
        "number": held.number,
        "commit": held.commit,
        "title": request.title if request is not None else "",
        "author": request.author if request is not None else "",
        "base": request.base_ref if request is not None else "",
        "why": held.verdict.why,
        "at": held.at,
    }


def _scope(here: Services, scope: str) -> str:
    """The scope as it is kept: a Repo's is its id, whatever it was named by. Raises Problem."""
    if not scope or here.directory.find(scope) is not None:
        return scope
    connection, colon, owner = scope.partition(":")
    if colon and owner and here.directory.find(connection) is not None:
        return scope
    return find_repo(here, scope).id


def _policy(here: Services, policy: TrustPolicy) -> dict[str, Any]:
    repo = here.directory.repos.get(policy.scope)
    shown: dict[str, Any] = msgspec.to_builtins(policy)
    del shown["removed"]
    return {**shown, "repo": repo.name if repo is not None else None}
