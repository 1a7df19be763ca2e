"""Trigger: which events a pipeline wants, by what it declared with `on.…`, and which Run that is.

Pure: the same event asks for the same Run, however often and by whichever way it comes.
"""

import re
from fnmatch import fnmatchcase
from typing import Any

from pipelines.event import Event, EventKind
from pipelines.ids import SHARDS_DEFAULT, RunId, run_id

# The action of a pull request that is a draft no more.
READY = "ready_for_review"
# What a pipeline without any declaration runs on.
DEFAULT_KINDS = frozenset({EventKind.PUSH, EventKind.PULL_REQUEST, EventKind.MANUAL})
# Why a pipeline that wants an event does not run on it.
BY_MESSAGE = "skipped by its commit message"
BY_PATHS = "skipped: no changed path matches"

_SKIP = re.compile(r"\[(?:skip ci|ci skip|skip staunch)\]", re.IGNORECASE)


def wanted(triggers: list[dict[str, Any]] | None, event: Event) -> bool:
    """Whether a pipeline with these declarations runs on this event.

    Globs match whole names; `*` also matches a slash, as in `release/*`. A manual start needs no
    declaration: a person asked for this very pipeline.
    """
    if event.kind is EventKind.MANUAL:
        return True
    if not event.commit:
        return False
    if triggers is None:
        return event.kind in DEFAULT_KINDS
    return bool(matching(triggers, event))


def why_unwanted(triggers: list[dict[str, Any]] | None, event: Event) -> str:
    """What of a pipeline's declarations does not fit an event that it does not want: completes
    "it does not run on push of refs/heads/main: …"."""
    assert not wanted(triggers, event), "only asked of those that it does not want"
    if not event.commit:
        return "nothing is left to build there"
    on_kind = [trigger for trigger in triggers or [] if trigger.get("on") == event.kind]
    if not on_kind:
        kinds = sorted({str(trigger.get("on")) for trigger in triggers or []})
        declared = ", ".join(kinds if triggers is not None else sorted(DEFAULT_KINDS))
        return f"it runs on {declared or 'nothing but a start by hand'}"
    refs = [
        f"{name} {', '.join(map(str, trigger[name]))}"
        for trigger in on_kind
        for name in ("branches", "tags")
        if trigger.get(name)
    ]
    return f"it is only for {'; '.join(refs)}"


def matching(triggers: list[dict[str, Any]] | None, event: Event) -> list[dict[str, Any]]:
    """The declarations that ask for this event, as far as its kind and its refs go."""
    return [trigger for trigger in triggers or [] if _matches(trigger, event)]


def asks_to_be_skipped(message: str) -> bool:
    """Whether the message of a push's newest commit says that nothing is to run on it."""
    return _SKIP.search(message) is not None


def run_of(repo: str, event: Event, pipeline: str, *, shards: int = SHARDS_DEFAULT) -> RunId:
    """The Run that an event asks of a pipeline.

    A forge tells the same push as often as it likes; a person who starts twice wants two Runs, and
    one who asks again with the same key (it is in the delivery's id) wants the first. A schedule
    has one Run for each due time. A commit whose pull request is a draft no more has another Run
    than it had as one: a pipeline that let it be then must see it now.
    """
    if event.schedule is not None:
        # Not the commit: if a push comes while a due time is seen to, it still has one Run.
        asked = event.delivery or str(int(event.schedule.due))
        return run_id(repo, event.kind, event.schedule.name, asked, pipeline, shards=shards)
    asked = event.delivery if event.kind is EventKind.MANUAL else event.ref
    if event.pull_request is not None and event.pull_request.action == READY:
        return run_id(repo, event.kind, asked, event.commit, pipeline, READY, shards=shards)
    return run_id(repo, event.kind, asked, event.commit, pipeline, shards=shards)


def _matches(trigger: dict[str, Any], event: Event) -> bool:
    if trigger.get("on") != event.kind:
        return False
    into = event.pull_request or event.merge_group
    branch = into.base_ref if into else event.branch
    branch = branch.removeprefix("refs/heads/")
    return _one_of(trigger.get("branches"), branch) and _one_of(trigger.get("tags"), event.tag)


def _one_of(globs: list[str] | None, name: str) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)
