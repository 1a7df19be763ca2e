"""Starting: two ways to start a Run by hand.

A commit that ran before is started again from what is kept of it, at once. One that did not goes
the way of a webhook: recorded, fetched, prepared by an engine; this process holds no tenant code.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from staunch.entered import WrongInput

from ci_host.access import Token
from ci_host.adapters.nats import subjects
from ci_host.api.beginnings import Beginning
from ci_host.api.claimed_keys import Claim, claim
from ci_host.api.delivered_before import check_delivered, is_start_in
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import named_repo, no_such_repo
from ci_host.engine.asked_again import check_begun
from ci_host.engine.people import check_sendable
from ci_host.engine.reruns import wait_of
from ci_host.engine.run_inputs import entered
from pipelines.event import Event, EventKind
from pipelines.events import RunStarted, unless_normal
from pipelines.ids import RunId
from pipelines.priority import Priority
from pipelines.refs import is_commit
from pipelines.repo import Delivery, DeliveryOutcome, Repo
from pipelines.supposed import Supposed
from pipelines.trigger import run_of
from pipelines.trust import Tier
from webhooks.inbox import Recorded
from webhooks.manual import ManualStart, manual_delivery, manual_id, start_id

OUTCOME_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started: a pipeline at a commit of a repository, with inputs.

    `key`: the same twice is one Run, and no other start of the repository has it for 30 days.
    `priority` None: what the pipeline says. `wait_s`: for how long its Jobs wait for a terminal
    after a step that failed. `supposed`: only some of its Steps are done.
    """

    repo: str
    commit: str
    ref: str = ""
    pipeline: str = "pipeline"
    key: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    priority: Priority | None = None
    wait_s: float = 0.0
    supposed: Supposed | None = None


async def start(here: Services, who: Token, wish: Start) -> list[str]:
    """The new Run, or the one of the same key. Raises Problem, PersonRefused, KeyTaken."""
    _check_supposed(here, wish)
    check_sendable("the inputs", wish.inputs)
    event = Event(kind=EventKind.MANUAL, ref=wish.ref, commit=wish.commit, sender=who.name)
    asked = await _asked(here, wish, event)
    # What is on its way, or was, is answered with what became of it.
    again = None if asked.is_delivered else await _start_again(here, who, wish, asked)
    if again is not None:
        return [again]
    return (await _start_anew(here, who, wish, asked)).runs


async def start_as(
    here: Services, who: Token, wish: Start, given: dict[str, Any]
) -> DeliveryOutcome:
    """The Runs that an event asks for, as if a forge had told it. Raises as `start`.

    Only on an installation of one person: what a Run may do follows from its event (the rules of
    environments), so whoever may choose that has all that any Run has.
    """
    if not here.settings.any_event:
        raise Problem(
            403,
            "Events come from forges here",
            "A start by hand is told as one: what a run may do follows from its event. `staunch run"
            " --event` tries an event out on your own machine.",
        )
    _check_supposed(here, wish)
    check_sendable("the inputs", wish.inputs)
    check_sendable("the event", given)
    try:
        told = msgspec.convert(given, Event)
    except msgspec.ValidationError as error:
        raise Problem(422, "No event", f"The event cannot be read: {error}.") from error
    event = msgspec.structs.replace(
        told, ref=wish.ref, commit=wish.commit, sender=told.sender or who.name
    )
    return await _start_anew(here, who, wish, await _asked(here, wish, event))


def _check_supposed(here: Services, wish: Start) -> None:
    """Raises Problem: what was not run would be told as a success."""
    if wish.supposed is None:
        return
    if not here.settings.any_event:
        raise Problem(
            403,
            "Every step is done here",
            "A run that takes steps for done without doing them says nothing to others. `staunch"
            " run --only` tries some steps out on your own machine.",
        )
    check_sendable("what is supposed", msgspec.to_builtins(wish.supposed))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A start in the repository that was found. `id`: both ways to start name their Run by it, so
    that the same key is the same Run."""

    repo: Repo
    event: Event
    id: str
    is_delivered: bool


async def _asked(here: Services, wish: Start, event: Event) -> _Asked:
    found = find_repo(here, wish.repo)
    if not wish.key:
        return _Asked(found, event, manual_id(here.new_id()), is_delivered=False)
    id_ = start_id(found.external_id, wish.key)
    if await here.inbox.get(found.connection, id_) is not None:
        return _Asked(found, event, id_, is_delivered=True)
    # As it was called when keys were of a connection.
    before = await here.inbox.get(found.connection, manual_id(wish.key))
    if before is not None and is_start_in(before, found.external_id):
        return _Asked(found, event, before.id, is_delivered=True)
    return _Asked(found, event, id_, is_delivered=False)


async def _claim(here: Services, wish: Start, asked: _Asked) -> None:
    """Raises KeyTaken: another start has the key. Before anything is begun: what comes to nothing
    after it is begun when it is asked for again."""
    if wish.key:
        await claim(here, asked.repo.id, wish.key, Claim.of(asked.event, wish.pipeline))


async def _start_anew(here: Services, who: Token, wish: Start, asked: _Asked) -> DeliveryOutcome:
    found, event = asked.repo, asked.event
    if not is_commit(event.commit):
        raise no_commit(event.commit)
    start = ManualStart(
        external_id=found.external_id,
        name=found.name,
        event=event,
        pipeline=wish.pipeline,
        inputs=wish.inputs,
        priority=wish.priority,
        wait=wait_of(Tier.TRUSTED, wish.wait_s, who) or None,
        supposed=wish.supposed,
    )
    if not asked.is_delivered:
        await _claim(here, wish, asked)
    return await begin_by_delivery(here, found, start, asked.id, wish.key)


async def _start_again(here: Services, who: Token, wish: Start, asked: _Asked) -> str | None:
    """A new Run of code that is kept already, or None where this pipeline never ran there."""
    found = asked.repo
    earlier = await here.beginnings.earlier(found.id, wish.commit, wish.pipeline)
    if earlier is None:
        return None
    event = msgspec.structs.replace(
        earlier.started.event,
        kind=EventKind.MANUAL,
        sender=who.name,
        delivery=asked.id,
        schedule=None,
    )
    run = run_of(found.id, event, wish.pipeline, shards=here.settings.shards)
    if wish.key:
        # As it was called when keys were of a connection.
        old = msgspec.structs.replace(event, delivery=manual_id(wish.key))
        old_run = run_of(found.id, old, wish.pipeline, shards=here.settings.shards)
        if await here.history.started(old_run) is not None:
            run, event = old_run, old
    first = msgspec.structs.replace(_beginning(earlier, who, wish), run=run, event=event)
    await _claim(here, wish, asked)
    if not await here.history.create(run, first) and wish.key:
        await _check_begun(here, who, wish, first)
    return run


def _beginning(of: Beginning, who: Token, wish: Start) -> RunStarted:
    """How a Run of this code begins with this wish. Raises Problem, PersonRefused."""
    try:
        inputs = entered(of.entry, wish.inputs)
    except WrongInput as wrong:
        raise Problem(422, "Nothing was started", str(wrong)) from wrong
    return msgspec.structs.replace(
        of.started,
        inputs=inputs,
        priority=unless_normal(wish.priority or of.entry.priority),
        wait=wait_of(of.started.tier, wish.wait_s, who),
        supposed=wish.supposed or msgspec.UNSET,
    )


async def _check_begun(here: Services, who: Token, wish: Start, first: RunStarted) -> None:
    """Raises KeyTaken: the Run that is there was begun with another wish."""
    run = RunId(first.run)
    before = await here.history.started(run)
    # Since then the same commit may have run with other code, as a stranger's change does.
    its_own = await here.beginnings.of(run)
    now = first if its_own is None else _beginning(its_own, who, wish)
    check_begun(wish.key, before or first, now)


async def start_by_delivery(here: Services, found: Repo, asked: ManualStart, id_: str) -> list[str]:
    """Have an engine fetch and start it; answers the Runs. Raises Problem."""
    return (await begin_by_delivery(here, found, asked, id_)).runs


async def begin_by_delivery(
    here: Services, found: Repo, asked: ManualStart, id_: str, key: str = ""
) -> DeliveryOutcome:
    """As `start_by_delivery`, with what was told beside the Runs. Raises Problem, KeyTaken.

    `key`: what its sender calls it, who gets no answer to another start.
    """
    if not is_commit(asked.event.commit):
        raise no_commit(asked.event.commit)
    connection = here.directory.find(found.connection)
    assert connection is not None, "a Repo has its Connection"
    outcome = await outcome_of(here, manual_delivery(connection, asked, id_, here.now()), key)
    if not outcome.runs:
        raise Problem(422, "Nothing was started", outcome.reason)
    return outcome


async def outcome_of(here: Services, delivery: Delivery, key: str = "") -> DeliveryOutcome:
    """Record it, and wait for what becomes of it. Raises Problem: it takes too long; KeyTaken."""
    topic = subjects.outcome(delivery.connection, delivery.id)
    async with here.news.watching(topic) as watch:
        recorded = await here.inbox.record(delivery)
        if key and recorded is Recorded.DUPLICATE:
            check_delivered(key, await here.inbox.get(delivery.connection, delivery.id), delivery)
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


def no_commit(said: str) -> Problem:
    """What is told of a start at something else."""
    return Problem(422, "No commit", f"{said!r} is no full commit id (40 hex digits).")


def find_repo(here: Services, name: str) -> Repo:
    """A repository by its id or its name. Raises Problem."""
    found = named_repo(here, name)
    if found is None:
        raise no_such_repo(name, [repo.name for repo in here.directory.repos.values()])
    return found
