"""Pool rules: in which pool a job really runs, by what the pools take. Pure.

Here: the table of routes. Whose job is trusted says `pipelines/trust.py`, who keeps the rules the
catalog, who acts on them the dispatcher. Only jobs of the untrusted are ever sent to another pool
than they ask for: the secrets of a pool are for jobs that ask for it, and they get none.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ci_host.line_ports import PoolRule
from pipelines.trust import Tier


@dataclass(frozen=True, slots=True)
class Route:
    """`pool`: where a job runs. Empty: nowhere, and `why` says what to do. `words`: why it is not
    the one that it names."""

    pool: str
    why: str = ""
    words: str = ""


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
        further_on = rule.untrusted_to
        sent = f"sent on to pool {further_on}, since {pool} takes only trusted changes"
        return Route(further_on, words=sent)

    def find(self, labels: Collection[str], tier: Tier, alive: Collection[str]) -> Route:
        """Of a job of such a tier that asks for a pool with all these labels. Of several the first
        by name; before all others one with a Runner that is alive."""
        wanted = ", ".join(labels)
        able = [one for one in self._rules.values() if set(labels) <= set(one.labels)]
        fitting = [one.pool for one in able if one.tier in (None, tier)]
        if fitting:
            pool = min(fitting, key=lambda name: (name not in alive, name))
            return Route(pool, words=f"in pool {pool}, which has the labels it asks for: {wanted}")
        if able:
            names = ", ".join(sorted(one.pool for one in able))
            said = "trusted" if tier is Tier.UNTRUSTED else "untrusted"
            return Route("", f"only pools for {said} changes have the labels {wanted}: {names}")
        return Route("", f"no pool has the labels {wanted}; {self._nearest(labels)}")

    def _nearest(self, labels: Collection[str]) -> str:
        """Which pool has most of them, and what an administrator may do."""
        some = [one for one in self._rules.values() if set(labels) & set(one.labels)]
        advice = "an administrator gives a pool labels with staunch pool set POOL --label LABEL"
        if not some:
            return advice
        best = min(some, key=lambda one: (-len(set(labels) & set(one.labels)), one.pool))
        lacking = ", ".join(one for one in labels if one not in best.labels)
        return f"pool {best.pool} has all but {lacking}; {advice}"
