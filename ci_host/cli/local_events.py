"""Local events: what `--event` says, as the event that a forge would tell of this working tree.

Made from what git knows of the checkout. Which pipelines want it is decided where it always is.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ci_host.cli.client import ClientError
from ci_host.cli.working_tree import (
    Snapshot,
    commit_at,
    default_branch,
    is_shallow,
    lead,
    message_at,
)
from pipelines.event import Event, EventKind, PullRequest
from pipelines.refs import is_commit
from pipelines.trust import is_from_elsewhere

FORMS = "push, pr, tag:NAME, or a file with an event as `staunch history --json` has it"
# The branch of a change that was made on the very branch that it is for.
ASIDE = "working-tree"
NUMBER = 1
FILE_BYTES_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class Checkout:
    """What git says of one: where its branch was pushed to, and the branch that changes are for.

    Commits are empty where there is none: nothing was pushed, or nothing is known of it. Of a
    shallow checkout only the files can be given away, and no history.
    """

    upstream: str
    base: str
    base_commit: str
    head: str
    message: str
    is_shallow: bool


def checkout_of(top: Path) -> Checkout:
    """Look at one."""
    base = default_branch(top)
    pushed = commit_at(top, f"refs/remotes/origin/{base}")
    return Checkout(
        upstream=commit_at(top, "@{upstream}"),
        base=base,
        base_commit=pushed or commit_at(top, f"refs/heads/{base}"),
        head=commit_at(top, "HEAD"),
        message=message_at(top, "HEAD"),
        is_shallow=is_shallow(top),
    )


def event_of(asked: str, taken: Snapshot, here: Checkout) -> Event:
    """The event that `--event` asks for, of this snapshot. Raises ClientError."""
    kind, colon, name = asked.partition(":")
    if asked == "push":
        return _push(taken, here)
    if asked == "pr":
        return _pull_request(taken, here)
    if kind == "tag" and colon:
        if not name:
            raise ClientError("--event tag: names no tag; write tag:v1.2", 2)
        return Event(kind=EventKind.TAG, ref=f"refs/tags/{name}", commit=taken.commit)
    return _of_file(Path(asked), taken)


def lay(event: Event, taken: Snapshot, here: Checkout) -> None:
    """Have every ref that the event names in the repository of the snapshot, as a forge has them.

    Raises ClientError: a commit of the event is not in this checkout.
    """
    if event.commit != taken.commit and not commit_at(taken.top, event.commit):
        raise ClientError(
            f"the event is of commit {event.commit}, which is not in {taken.top}; fetch it, or take"
            " `commit` out of the file to run the working tree",
            4,
        )
    refs = {_full(here.base): here.base_commit}
    request = event.pull_request
    if request is not None:
        refs[_full(request.base_ref)] = _base_of(request, taken.top) or here.base_commit
    if here.is_shallow:
        refs = {}
    refs[event.ref] = event.commit
    if request is not None and not is_from_elsewhere(event):
        # Git itself says then that the change is of this repository.
        refs[_full(request.head_ref)] = event.commit
    lead(taken.bare, {ref: commit for ref, commit in refs.items() if commit}, _full(here.base))


def _base_of(request: PullRequest, top: Path) -> str:
    branch = request.base_ref.removeprefix("refs/heads/")
    names = (request.base_commit, f"refs/remotes/origin/{branch}", f"refs/heads/{branch}")
    return next((found for name in names if name and (found := commit_at(top, name))), "")


def _push(taken: Snapshot, here: Checkout) -> Event:
    return Event(
        kind=EventKind.PUSH,
        ref=_branch(taken),
        commit=taken.commit,
        before=here.upstream,
        message=here.message if taken.commit == here.head else "",
    )


def _pull_request(taken: Snapshot, here: Checkout) -> Event:
    branch = _branch(taken).removeprefix("refs/heads/")
    # A clean checkout without a remote changes nothing of its own branch.
    base_commit = here.base_commit or here.head
    if not base_commit:
        raise ClientError(
            "a pull request changes what there is, and nothing is committed yet; try --event push",
            4,
        )
    request = PullRequest(
        number=NUMBER,
        action="opened",
        title="The working tree",
        base_ref=here.base,
        base_commit=base_commit,
        head_ref=ASIDE if branch == here.base else branch,
        head_repo=taken.top.name,
    )
    return Event(
        kind=EventKind.PULL_REQUEST,
        ref=f"refs/pull/{NUMBER}/head",
        commit=taken.commit,
        pull_request=request,
    )


def _of_file(path: Path, taken: Snapshot) -> Event:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ClientError(f"{path} has more than {FILE_BYTES_MAX:,} bytes: it is no event", 2)
        content = path.read_bytes()
    except OSError as error:
        raise ClientError(
            f"--event {path}: there is no such file ({error.strerror}); write {FORMS}", 2
        ) from error
    try:
        event = msgspec.convert(_found_in(json.loads(content)), Event)
    except (ValueError, RecursionError) as error:
        raise ClientError(
            f'{path} is no event: {error}; the least is {{"kind": "push"}}', 2
        ) from error
    commit = event.commit or taken.commit
    if not is_commit(commit):
        raise ClientError(f"{path}: {commit!r} is no full commit id", 2)
    ref = event.ref or _branch(taken)
    return msgspec.structs.replace(event, commit=commit, ref=ref)


def _found_in(content: object) -> object:
    """An event, or the one in what `staunch history --json` prints."""
    if not isinstance(content, dict) or "inputs" not in content:
        return content
    for one in content["inputs"]:
        if isinstance(one, dict) and isinstance(one.get("body"), dict) and "event" in one["body"]:
            return one["body"]["event"]
    return content


def _branch(taken: Snapshot) -> str:
    return taken.ref or "refs/heads/detached"


def _full(branch: str) -> str:
    return branch if branch.startswith("refs/") else f"refs/heads/{branch}"
