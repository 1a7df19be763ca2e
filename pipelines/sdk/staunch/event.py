"""Event: what started this Run, as `run(event, step)` receives it."""

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull or merge request at the moment of the event."""

    number: int
    action: str = ""
    title: str = ""
    author: str = ""
    base_ref: str = ""
    base_commit: str = ""
    head_ref: str = ""
    head_repo: str | None = None
    is_fork: bool = False
    is_draft: bool = False
    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The schedule that began this Run, and the exact time for which: `due`, in seconds since the
    epoch. A Run that begins late has the time at which it should have begun."""

    name: str
    cron: str = ""
    tz: str = "UTC"
    due: float = 0.0
    overlap: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """What was published under the event's tag. `name` is what people called it."""

    name: str = ""
    is_prerelease: bool = False


@dataclass(frozen=True, slots=True)
class MergeGroup:
    """Pull requests that are about to be merged together, and the branch that they go into."""

    base_ref: str
    base_commit: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `branch` and `tag` are short names, or empty; `commit` is a full commit id.

    `kind` is push, tag, branch_delete, tag_delete, pull_request, merge_group, release, manual or
    schedule; `repo` the repository's name on its forge; `run_id` this Run's id; `inputs` what it
    was started with.
    """

    kind: str
    ref: str = ""
    branch: str = ""
    tag: str = ""
    commit: str = ""
    before: str = ""
    sender: str = ""
    message: str = ""
    forced: bool = False
    pull_request: PullRequest | None = None
    schedule: Scheduled | None = None
    release: Release | None = None
    merge_group: MergeGroup | None = None
    repo: str = ""
    run_id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(started: dict[str, Any]) -> "Event":
        """The event inside a `run_started` input. Unknown fields are from a later host: ignored."""
        raw = started["event"]
        ref = raw.get("ref", "")
        request = raw.get("pull_request")
        schedule = raw.get("schedule")
        release, group = raw.get("release"), raw.get("merge_group")
        return Event(
            kind=raw["kind"],
            ref=ref,
            branch=_short(ref, "refs/heads/"),
            tag=_short(ref, "refs/tags/"),
            commit=raw.get("commit", ""),
            before=raw.get("before", ""),
            sender=raw.get("sender", ""),
            message=raw.get("message", ""),
            forced=raw.get("forced", False),
            pull_request=_known(PullRequest, request) if request else None,
            schedule=_known(Scheduled, schedule) if schedule else None,
            release=_known(Release, release) if release else None,
            merge_group=_known(MergeGroup, group) if group else None,
            repo=started.get("repo_name", ""),
            run_id=started.get("run", ""),
            inputs=started.get("inputs") or {},
        )


def _short(ref: str, prefix: str) -> str:
    return ref[len(prefix) :] if ref.startswith(prefix) else ""


def _known(form: type[T], raw: dict[str, Any]) -> T:
    known = {one.name for one in fields(form)}  # type: ignore[arg-type]
    return form(**{name: value for name, value in raw.items() if name in known})
