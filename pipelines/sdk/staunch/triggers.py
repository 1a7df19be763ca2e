"""Triggers: `on.push(…)` and its kin, called at the top of a pipeline file.

A declaration belongs to the module that makes it (`__staunch_triggers__`): no registry, so that
nothing can leak from one pipeline to another.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from staunch import priority, schedules
from staunch.concurrency import Key, Policy, declared
from staunch.durations import Duration
from staunch.inputs import wire
from staunch.priority import Level
from staunch.schedules import CatchUp, Overlap

DECLARED = "__staunch_triggers__"
CONCURRENCY = "__staunch_concurrency__"
ASKS = "__staunch_asks__"


class On:
    """What a pipeline runs on. A file that declares nothing runs on pushes and pull requests."""

    def push(
        self,
        *,
        branches: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        paths: Sequence[str] | None = None,
        paths_ignore: Sequence[str] | None = None,
    ) -> None:
        """Every push to one of these branches (globs; None: all), or of one of these tags.

        `paths` (globs): only pushes to branches that change such a file; `paths_ignore`: that
        change another file than these.
        """
        if tags is not None:
            _declare({"on": "tag", "tags": _globs(tags, "tags")})
        if branches is not None or tags is None:
            found: dict[str, object] = {"on": "push", "branches": _globs(branches, "branches")}
            _declare({**found, **_paths(paths, paths_ignore)})
        elif _paths(paths, paths_ignore):
            raise ValueError("on.push(tags=…) takes no paths: a new tag changes none")

    def tag(self, *tags: str) -> None:
        """Every new tag that matches one of these globs; none given: every tag."""
        _declare({"on": "tag", "tags": _globs(tags, "tags")})

    def pull_request(
        self,
        *,
        branches: Sequence[str] | None = None,
        paths: Sequence[str] | None = None,
        paths_ignore: Sequence[str] | None = None,
    ) -> None:
        """Every pull request, opened or updated, into one of these branches (globs).

        `paths`, `paths_ignore`: as of a push, of all that the pull request changes.
        """
        found: dict[str, object] = {"on": "pull_request", "branches": _globs(branches, "branches")}
        _declare({**found, **_paths(paths, paths_ignore)})

    def merge_group(self, *, branches: Sequence[str] | None = None) -> None:
        """Every group of a merge queue that is about to go into one of these branches (globs)."""
        _declare({"on": "merge_group", "branches": _globs(branches, "branches")})

    def release(self, *, tags: Sequence[str] | None = None) -> None:
        """Every release that is published under one of these tags (globs; None: any)."""
        _declare({"on": "release", "tags": _globs(tags, "tags")})

    def manual(self, *, inputs: Mapping[str, Any] | None = None) -> None:
        """Only when somebody starts it (which is always possible), or calls it.

        `inputs` is what they are asked for, as at a gate: `{"percent": int, "env": ["eu", "us"]}`,
        or an `Input`. It becomes `event.inputs`, with the defaults.
        """
        _declare({"on": "manual"})
        if inputs is None:
            return
        module = sys._getframe(1).f_globals
        if ASKS in module:
            raise ValueError("on.manual(inputs=…) was said twice; a pipeline has one set of inputs")
        types, rules = wire(inputs)
        module[ASKS] = {"inputs": types, "rules": rules}

    def schedule(
        self,
        cron: str,
        *,
        name: str | None = None,
        tz: str = "UTC",
        overlap: Overlap = "skip",
        catch_up: CatchUp = "last",
        catch_up_limit: int = 10,
        catch_up_window: Duration = "1d",
    ) -> None:
        """Whenever a cron expression of five fields is due, on the default branch's newest commit.

        `name` is what people and `event.schedule.name` call it; default: the expression itself.
        `overlap`: what happens while the Run of an earlier time is still going: `skip` this one,
        `queue` it, `cancel` the other, or `allow` both. `catch_up`: which of the times that were
        missed while Staunch was down are begun late: `none`, the `last`, or `all` of them, at most
        `catch_up_limit` and none older than `catch_up_window`.
        """
        trigger = schedules.declared(
            cron,
            name=name,
            tz=tz,
            overlap=overlap,
            catch_up=catch_up,
            limit=catch_up_limit,
            window=catch_up_window,
            line=sys._getframe(1).f_lineno,
        )
        _declare(trigger)

    def concurrency(self, key: Key, *, policy: Policy = "queue") -> None:
        """Of the Runs with the same key in this repository one runs at a time.

        `key` is a text, or a function of the event. `policy` is what a Run does that finds others:
        `queue` behind them, `cancel` them all, `replace` those that wait, or `reject` itself.
        """
        module = sys._getframe(1).f_globals
        if CONCURRENCY in module:
            raise ValueError("on.concurrency was called twice; a pipeline has one group")
        module[CONCURRENCY] = declared(key, policy)

    def priority(self, level: Level) -> None:
        """Which Runs go first where several wait: for a runner, or for their concurrency group.

        `urgent` goes before `high`, that before `normal` (what nobody said), and that before `low`.
        Whoever starts a Run by hand may say another.
        """
        module = sys._getframe(1).f_globals
        if priority.DECLARED in module:
            raise ValueError("on.priority was called twice; a pipeline has one priority")
        module[priority.DECLARED] = priority.declared(level)

    def __getattr__(self, name: str) -> object:
        """An unknown trigger: say which there are."""
        raise AttributeError(
            f"there is no on.{name}; there are push, tag, pull_request, merge_group, release,"
            " manual, schedule, concurrency, priority"
        )


on = On()


def _globs(globs: Sequence[str] | None, what: str) -> list[str]:
    if globs is None:
        return []
    if isinstance(globs, str) or not all(isinstance(glob, str) for glob in globs):
        raise TypeError(f"{what} must be a list of texts, like {what}=['main'], not {globs!r}")
    return list(globs)


def _paths(paths: Sequence[str] | None, paths_ignore: Sequence[str] | None) -> dict[str, list[str]]:
    """What was said of paths. An empty list would match nothing, ever: surely not what is meant."""
    given = {"paths": paths, "paths_ignore": paths_ignore}
    found = {name: _globs(globs, name) for name, globs in given.items() if globs is not None}
    for name, globs in found.items():
        if not globs:
            raise ValueError(f"{name}=[] matches nothing; leave it out")
    return found


def _declare(trigger: dict[str, object]) -> None:
    module = sys._getframe(2).f_globals
    module.setdefault(DECLARED, []).append(trigger)
