"""Starting: two ways to start a Run by hand.

A commit that ran before is started again from what is kept of it, at once. One that did not goes
the way of a webhook: recorded, fetched, prepared by an engine; this process holds no tenant code.
"""

import asyncio

import msgspec

from ci_host.access import Token
from ci_host.adapters.nats import subjects
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from pipelines.event import Event, EventKind
from pipelines.refs import is_commit
from pipelines.repo import Delivery, DeliveryOutcome, Repo
from pipelines.trigger import run_of
from webhooks.manual import MANUAL_EVENT, ManualStart

OUTCOME_TIMEOUT_S = 60.0


async def start_again(
    here: Services, who: Token, repo: str, commit: str, pipeline: str, key: str
) -> str | None:
    """A new Run of code that is kept already, or None where this pipeline never ran there."""
    found = _repo(here, repo)
    earlier = await here.beginnings.earlier(found.id, commit, pipeline)
    if earlier is None:
        return None
    event = msgspec.structs.replace(
        earlier.event, kind=EventKind.MANUAL, sender=who.name, delivery=_delivery_id(here, key)
    )
    run = run_of(found.id, event, pipeline, shards=here.settings.shards)
    await here.history.create(run, msgspec.structs.replace(earlier, run=run, event=event))
    return run


async def start_by_delivery(
    here: Services, who: Token, repo: str, ref: str, commit: str, pipeline: str, key: str
) -> DeliveryOutcome:
    """Have an engine fetch and start it; answers what became of it. Raises Problem."""
    found = _repo(here, repo)
    if not is_commit(commit):
        raise Problem(422, "No commit", f"{commit!r} is no full commit id (40 hex digits).")
    connection = here.directory.find(found.connection)
    assert connection is not None, "a Repo has its Connection"
    event = Event(kind=EventKind.MANUAL, ref=ref, commit=commit, sender=who.name)
    delivery = Delivery(
        connection=found.connection,
        id=_delivery_id(here, key),
        kind=connection.kind,
        event=MANUAL_EVENT,
        received_at=here.now(),
        body=msgspec.json.encode(
            ManualStart(
                external_id=found.external_id, name=found.name, event=event, pipeline=pipeline
            )
        ).decode(),
    )
    topic = subjects.outcome(delivery.connection, delivery.id)
    async with here.news.watching(topic) as watch:
        await here.inbox.record(delivery)
        try:
            async with asyncio.timeout(OUTCOME_TIMEOUT_S):
                while True:
                    stored = await here.bus.last(subjects.OUTCOMES, topic)
                    if stored is not None:
                        return msgspec.json.decode(stored.body, type=DeliveryOutcome)
                    await watch.wait_news()
        except TimeoutError:
            raise Problem(
                503,
                "Still at it",
                f"The start is recorded as delivery {delivery.id} and will be done; see"
                " `staunch deliveries`.",
            ) from None


def _delivery_id(here: Services, key: str) -> str:
    """Both ways to start name their Run by it, so that the same key is the same Run."""
    return f"manual-{key or here.new_id()}"


def _repo(here: Services, name: str) -> Repo:
    known = here.directory.repos
    found = known.get(name) or next((r for r in known.values() if r.name == name), None)
    if found is None:
        names = ", ".join(sorted(r.name for r in known.values())) or "none"
        raise Problem(404, "No such repository", f"{name!r} is not registered (there is: {names}).")
    return found
