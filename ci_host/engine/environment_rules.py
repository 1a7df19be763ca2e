"""Environment rules: which Runs' jobs may name an environment of a repository. Pure.

Here: the rule itself. Who keeps the rules is the catalog's, who acts on them the dispatcher. A Run
counts as made by hand where a person chose its commit: what is said of its ref is their word alone.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from ci_host.line_ports import EnvironmentRule
from pipelines.event import Event, EventKind
from pipelines.trust import Tier


class EnvironmentRules:
    """What is known of the rules. An environment without one is whoever's that names it."""

    def __init__(self, rules: Iterable[EnvironmentRule] = ()) -> None:
        self._rules = {(rule.repo, rule.environment): rule for rule in rules}

    def find(self, repo: str, environment: str) -> EnvironmentRule | None:
        """The one of this environment of a Repo (its id)."""
        rule = self._rules.get((repo, environment)) if environment else None
        return rule if rule is not None and rule.refs is not None else None


def why_not(rule: EnvironmentRule, event: Event, tier: Tier, *, is_forked: bool) -> str:
    """Why a job of such a Run may not name the environment, and what to do; or nothing."""
    refs = rule.refs or []
    said = f"environment {rule.environment} is only for {', '.join(refs)} of this repository"
    if tier is not Tier.TRUSTED:
        return f"{said}, and this job is of another repository's changes"
    if not any(fnmatchcase(event.ref, _full(glob)) for glob in refs):
        return (
            f"{said}, and this job is of {event.ref or 'no ref'}; run it from one of those, or have"
            " an administrator change the rule with `staunch environment set`"
        )
    if (is_forked or event.kind is EventKind.MANUAL) and not rule.by_hand:
        return (
            f"{said} as they are pushed, and somebody chose the commit of this run by hand; rerun"
            " the run of the push, or have an administrator allow it with `staunch environment set"
            " … --by-hand`"
        )
    return ""


def _full(glob: str) -> str:
    return glob if glob.startswith("refs/") else f"refs/heads/{glob}"
