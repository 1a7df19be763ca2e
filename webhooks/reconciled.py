"""Reconciled: what the host itself saw of a ref, in the form of a Delivery.

Of a push or a pull request that no webhook told of. It goes the way of all others. Never comes
from outside: the webhook routes know no such event name. Who pushed nobody has told.
"""

import msgspec

from pipelines.event import Event, EventKind
from pipelines.refs import is_commit
from pipelines.repo import Delivery, ForgeKind
from webhooks.errors import Malformed
from webhooks.forge import ParsedEvent, Sought
from webhooks.payload import commit_of, external_id_of, name_of, ref_of, short_commit_of

RECONCILED_EVENT = "staunch.reconciled"


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """A ref that has moved: the repository as its forge knows it, and the commits before and now.

    `commit` empty: the ref is gone; `before` empty: it is new. `pull`: the event of a pull request,
    as the forge's API lists it, of which this is the head.
    """

    external_id: str
    name: str
    ref: str
    commit: str = ""
    before: str = ""
    pull: Event | None = None


def parse_reconciled(delivery: Delivery) -> list[ParsedEvent]:
    """The one event that it is. Raises Malformed."""
    try:
        moved = msgspec.json.decode(delivery.body, type=Reconciled)
    except msgspec.MsgspecError as error:
        raise Malformed(f"what the host saw of a ref cannot be read: {error}") from error
    if moved.pull is not None:
        event = _of_pull(moved, moved.pull, delivery)
        sought = _sought(event, delivery.kind)
        name = name_of(moved.name)
        return [ParsedEvent(external_id_of(moved.external_id), name, event, sought=sought)]
    event = Event(
        kind=_kind(ref_of(moved.ref), is_there=bool(moved.commit)),
        ref=moved.ref,
        commit=commit_of(moved.commit, "commit") if moved.commit else "",
        before=commit_of(moved.before, "before") if moved.before else "",
        delivery=delivery.id,
    )
    return [ParsedEvent(external_id_of(moved.external_id), name_of(moved.name), event)]


def _sought(event: Event, kind: ForgeKind) -> Sought | None:
    """Where both Bitbuckets have it; None: its id is whole, and its own ref leads to it.

    Data Center makes a pull request's own ref at its leisure, and Cloud has none, and cuts ids; a
    branch of the repository's own is there.
    """
    if kind not in (ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DC):
        return None
    request = event.pull_request
    own = request is not None and not request.is_fork
    where = f"refs/heads/{request.head_ref}" if request is not None and own else event.ref
    if kind is ForgeKind.BITBUCKET:
        return Sought(short_commit_of(event.commit, "commit"), ref_of(where))
    return Sought(commit_of(event.commit, "commit"), ref_of(where))


def _kind(ref: str, *, is_there: bool) -> EventKind:
    if ref.startswith("refs/tags/"):
        return EventKind.TAG if is_there else EventKind.TAG_DELETE
    if ref.startswith("refs/heads/"):
        return EventKind.PUSH if is_there else EventKind.BRANCH_DELETE
    raise Malformed(f"{ref} is neither a branch nor a tag")


def _of_pull(moved: Reconciled, pull: Event, delivery: Delivery) -> Event:
    """Nobody has told what was done to it: it is there, or it has other commits than before."""
    request = pull.pull_request
    if request is None:
        raise Malformed("what the host saw of a pull request says nothing of it")
    action = "synchronize" if moved.before else "opened"
    return msgspec.structs.replace(
        pull,
        before=moved.before if is_commit(moved.before) else "",
        delivery=delivery.id,
        pull_request=msgspec.structs.replace(request, action=action),
    )
