"""Routes of pools: whose jobs each of them takes. How much they have to do is in `queue`."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, StringConstraints, model_validator

from ci_host.api.auth import Admin, Here, Person
from ci_host.api.problems import Problem
from ci_host.line_ports import PoolRule
from pipelines.trust import Tier

router = APIRouter(prefix="/api/v1", tags=["pools"])

POOL = r"^[A-Za-z0-9_-]+$"
LABELS_MAX = 50
Label = Annotated[str, StringConstraints(pattern=POOL, max_length=64)]
PoolName = Annotated[str, Path(pattern=POOL, max_length=64)]


class PoolBody(BaseModel):
    """Whose jobs a pool takes; no `tier`: everybody's. `untrusted_to`: where a trusted pool sends
    those of others. `labels`: what its runners are or have, for jobs that ask for labels."""

    tier: Tier | None = None
    untrusted_to: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$", max_length=64)
    labels: list[Label] = Field(default=[], max_length=LABELS_MAX)

    @model_validator(mode="after")
    def _sends_what_it_does_not_take(self) -> "PoolBody":
        if self.untrusted_to and self.tier is not Tier.TRUSTED:
            raise ValueError("only a pool for trusted jobs sends others on: leave untrusted_to out")
        if self.tier is None and not self.labels:
            raise ValueError("say whose jobs it takes (tier), or which labels it has (labels)")
        return self


@router.get("/pools", summary="List pools that take only some jobs, or have labels")
async def list_rules(here: Here, _who: Person) -> dict[str, Any]:
    """A pool that is not listed takes everybody's, and has no labels."""
    found = await here.catalog.pool_rules()
    return {"pools": [_view(one) for one in found if one.tier is not None or one.labels]}


@router.put("/pools/{pool}", summary="Say whose jobs a pool takes, and its labels")
async def put_rule(here: Here, _who: Admin, pool: PoolName, body: PoolBody) -> dict[str, Any]:
    """It holds for jobs that no runner has begun, from now on. What is at work stays so."""
    if body.untrusted_to:
        await _check_where_to(here, pool, body.untrusted_to)
    labels = sorted(set(body.labels))
    rule = PoolRule(pool=pool, tier=body.tier, untrusted_to=body.untrusted_to, labels=labels)
    await here.catalog.put_pool_rule(rule)
    return _view(rule)


async def _check_where_to(here: Here, pool: str, further: str) -> None:
    """Raises Problem where jobs of others would be sent to a pool that refuses them."""
    trusted = {one.pool for one in await here.catalog.pool_rules() if one.tier is Tier.TRUSTED} | {
        pool
    }
    if further in trusted:
        raise Problem(
            422,
            "No pool for jobs of others",
            f"Pool {further} takes only trusted ones itself. Name one that takes them, and make it"
            f" one: staunch pool set {further} --tier untrusted",
        )


@router.delete("/pools/{pool}", summary="Have a pool take everybody's jobs, without labels")
async def remove_rule(here: Here, _who: Admin, pool: PoolName) -> dict[str, Any]:
    """No error where it does already."""
    rule = PoolRule(pool=pool)
    await here.catalog.put_pool_rule(rule)
    return _view(rule)


def _view(rule: PoolRule) -> dict[str, Any]:
    return {
        "pool": rule.pool,
        "tier": rule.tier,
        "untrusted_to": rule.untrusted_to,
        "labels": rule.labels,
    }
