"""Events: what begins a Run in a test, each with what a test seldom cares about filled in."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines import event as happened
from pipelines.event import Event, EventKind

COMMIT = "c0ffee0000000000000000000000000000000001"
BEFORE = "c0ffee0000000000000000000000000000000000"
# A Monday, at noon: 2026-01-05T12:00:00Z.
BEGIN = 1_767_614_400.0
SENDER = "ada"


@dataclass(frozen=True, slots=True)
class Start:
    """What begins a Run. Made by `push`, `tag` and the others here."""

    event: Event

    def words(self) -> str:
        """Such as "push to 'main'"."""
        event = self.event
        if event.pull_request is not None:
            return f"pull request into {event.pull_request.base_ref!r}"
        if event.schedule is not None:
            return f"schedule {event.schedule.name!r}"
        name = event.branch or event.tag
        return f"{event.kind} of {name!r}"


def push(
    branch: str = "main", *, commit: str = COMMIT, sender: str = SENDER, message: str = "A change"
) -> Start:
    """A push to a branch."""
    ref = f"refs/heads/{branch}"
    return Start(
        Event(
            kind=EventKind.PUSH,
            ref=ref,
            commit=commit,
            before=BEFORE,
            sender=sender,
            message=message,
        )
    )


def tag(name: str = "v1.0.0", *, commit: str = COMMIT, sender: str = SENDER) -> Start:
    """A tag that was pushed."""
    return Start(Event(kind=EventKind.TAG, ref=f"refs/tags/{name}", commit=commit, sender=sender))


def pull_request(
    into: str = "main",
    *,
    branch: str = "feature",
    number: int = 1,
    action: str = "opened",
    title: str = "A change",
    author: str = SENDER,
    labels: Sequence[str] = (),
    is_draft: bool = False,
    is_fork: bool = False,
    commit: str = COMMIT,
) -> Start:
    """A pull or merge request from `branch` into another branch."""
    request = happened.PullRequest(
        number=number,
        action=action,
        title=title,
        author=author,
        base_ref=into,
        base_commit=BEFORE,
        head_ref=branch,
        head_repo=f"{author}/shop" if is_fork else "acme/shop",
        is_fork=is_fork,
        is_draft=is_draft,
        labels=list(labels),
    )
    ref = f"refs/pull/{number}/head"
    return Start(
        Event(
            kind=EventKind.PULL_REQUEST, ref=ref, commit=commit, sender=author, pull_request=request
        )
    )


def schedule(
    name: str, *, cron: str = "0 12 * * *", due: float = BEGIN, branch: str = "main"
) -> Start:
    """A schedule's time has come: `due`, in seconds since the epoch."""
    what = happened.Scheduled(name=name, cron=cron, tz="UTC", due=due, overlap="skip")
    ref = f"refs/heads/{branch}"
    return Start(Event(kind=EventKind.SCHEDULE, ref=ref, commit=COMMIT, schedule=what))


def manual(branch: str = "main", *, sender: str = SENDER, commit: str = COMMIT) -> Start:
    """Somebody starts the pipeline by hand; what they enter is `inputs` of `run`."""
    ref = f"refs/heads/{branch}"
    return Start(Event(kind=EventKind.MANUAL, ref=ref, commit=commit, sender=sender))


def release(
    name: str = "v1.0.0", *, title: str = "", is_prerelease: bool = False, sender: str = SENDER
) -> Start:
    """A release was published under the tag `name`."""
    what = happened.Release(name=title or name, is_prerelease=is_prerelease)
    ref = f"refs/tags/{name}"
    return Start(Event(kind=EventKind.RELEASE, ref=ref, commit=COMMIT, sender=sender, release=what))


def merge_group(into: str = "main", *, commit: str = COMMIT) -> Start:
    """A group of a merge queue is about to go into a branch."""
    what = happened.MergeGroup(base_ref=into, base_commit=BEFORE)
    ref = f"refs/heads/gh-readonly-queue/{into}/pr-1"
    return Start(Event(kind=EventKind.MERGE_GROUP, ref=ref, commit=commit, merge_group=what))
