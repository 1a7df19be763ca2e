"""Pool rules: in which pool a job really runs, by what the pools take. Pure.

Here: the table of routes. Whose job is trusted says `pipelines/trust.py`, who keeps the rules the
catalog, who acts on them the dispatcher. Only jobs of the untrusted are ever sent to another pool
than they ask for: the secrets of a pool are for jobs that ask for it, and they get none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ci_host.line_ports import PoolRule
from pipelines.trust import Tier


@dataclass(frozen=True, slots=True)
class Route:
    """`pool`: where a job runs. Empty: nowhere, and `why` says what to do."""

    pool: str
    why: str = ""


class PoolRules:
    """What is known of the rules. A pool without one takes everybody's jobs."""

    def __init__(self, rules: Iterable[PoolRule] = ()) -> None:
        self._rules = {rule.pool: rule for rule in rules}

    def route(self, pool: str, tier: Tier) -> Route:
        """Of a job of such a tier that asks for this pool."""
        rule = self._rules.get(pool)
        if rule is None or rule.tier in (None, tier):
            return Route(pool)
        if rule.tier is Tier.UNTRUSTED:
            return Route(
                "",
                f"pool {pool} takes only jobs of changes that are not trusted, since its machines"
                " may be theirs by now; name another pool in step.job(…, pool=)",
            )
        if not rule.untrusted_to:
            return Route(
                "",
                f"pool {pool} takes only jobs of trusted changes, and this one's is from another"
                " repository; run it from a branch of this one, or have an administrator say where"
                f" such jobs go: staunch pool set {pool} --tier trusted --untrusted-to POOL",
            )
        further = self._rules.get(rule.untrusted_to)
        if further is not None and further.tier is Tier.TRUSTED:
            return Route(
                "",
                f"pool {pool} sends jobs of changes that are not trusted to pool {further.pool},"
                " which takes only trusted ones; an administrator mends it with staunch pool set",
            )
        return Route(rule.untrusted_to)
