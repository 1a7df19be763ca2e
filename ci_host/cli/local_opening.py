"""Local opening: what `staunch run` gives its installation to begin with, while the host loads.

The host is asked for the same once it answers. Here: which starts can be given so, and how.
"""

from typing import Any

import msgspec

from ci_host.cli.working_tree import Snapshot
from ci_host.opening import Opening, owner
from pipelines.event import Event, EventKind
from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.manual import ManualStart, manual_delivery, start_id

CONNECTION = "local"
# What else somebody wishes for is the host's to look at first.
PLAIN = {"commit", "ref", "key", "pipeline", "event"}


def repo_body(taken: Snapshot) -> dict[str, str]:
    """The repository of a snapshot, as it is registered."""
    where = str(taken.bare)
    return {
        "connection": CONNECTION,
        "external_id": where,
        "name": taken.top.name,
        "clone_url": where,
    }


def opening_of(body: dict[str, Any], taken: Snapshot, now: float) -> Opening | None:
    """`body`: what the host will be asked for. None: it is to look at that first."""
    if any(value for name, value in body.items() if name not in PLAIN):
        return None
    given = body.get("event") or {"kind": EventKind.MANUAL, "ref": "", "commit": ""}
    event = msgspec.convert(given, Event)
    event = msgspec.structs.replace(
        event, ref=body["ref"], commit=body["commit"], sender=event.sender or owner()
    )
    connection = Connection(id=CONNECTION, kind=ForgeKind.GIT)
    repo = Repo(**repo_body(taken), id=f"{CONNECTION}/{taken.bare}")
    asked = ManualStart(
        external_id=repo.external_id, name=repo.name, event=event, pipeline=body["pipeline"]
    )
    try:
        id_ = start_id(repo.external_id, body["key"])
        delivery = manual_delivery(connection, asked, id_, now)
    except UnicodeEncodeError:
        return None
    return Opening(connection=connection, repo=repo, delivery=delivery)
