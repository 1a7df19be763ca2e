"""Projector: follows the streams and folds them into the read model. Knows both adapters, no rules.

It keeps its place in the database, not in the consumers: a database that was deleted, or is of an
older version, is simply folded anew from the beginning.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from sqlalchemy.exc import SQLAlchemyError

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.claims import Claims, is_claim
from ci_host.adapters.nats.consumer import Consumer, ConsumerRule, Delivered, opened
from ci_host.adapters.nats.stores import decode_delivery
from ci_host.adapters.sql import fold, fold_deliveries, fold_jobs
from ci_host.adapters.sql.read_model import Change, ReadModel
from ci_host.ports import Damaged, Unavailable
from pipelines.codec import Undecodable, decode_input, decode_turn
from pipelines.export import BadExport, decode_export
from pipelines.job import Lease
from pipelines.repo import DeliveryOutcome

CONSUMER = "projector"
BATCH_MAX = 500
RETRY_S = 2.0
# A message seldom comes alone, and most of a batch's work is for the same Runs and done once: the
# first is waited with for a moment that nobody sees, and when many came at once for longer.
SETTLE_S = 0.02
BUSY = 8
GATHER_S = 0.1

Understood = Callable[[Delivered], Change]

log = structlog.get_logger()


class Projector:
    """One per installation: two would fold twice, harmlessly and for nothing."""

    def __init__(
        self,
        bus: Bus,
        model: ReadModel,
        shards: int,
        tell: Callable[[str], None] = lambda _run: None,
    ) -> None:
        """`tell` hears of every Run that was folded, once it can be read."""
        self._bus = bus
        self._claims = Claims(bus)
        self._tell = tell
        self._model = model
        self._shards = shards
        # Set after every batch; whoever waits for the read model to move waits for this.
        self.moved = asyncio.Event()

    async def serve(self) -> None:
        """Follow every stream for ever."""
        async with asyncio.TaskGroup() as group:
            for shard in range(self._shards):
                names = (f"run.{shard}.*.in", f"run.{shard}.*.turn")
                group.create_task(self._follow(subjects.runs_stream(shard), names, _of_run))
            group.create_task(self._follow(subjects.LEASES, ("lease.>",), _of_lease))
            group.create_task(self._follow(subjects.IMPORTS, ("import.>",), _of_import))
            group.create_task(self._follow(subjects.HOST, ("host.>",), _of_host))
            for lane in range(subjects.INTAKE_LANES):
                stream, name = subjects.intake_stream(lane), subjects.intake_subjects(lane)
                group.create_task(self._follow(stream, (name,), _of_intake))
            group.create_task(self._follow(subjects.OUTCOMES, ("outcome.>",), _of_outcome))

    async def _follow(self, stream: str, names: tuple[str, ...], understood: Understood) -> None:
        """Fold one stream for ever. A failure is told and tried again: the API goes on."""
        while True:
            try:
                await self._fold_from_cursor(stream, names, understood)
            except (SQLAlchemyError, NatsError, JetStreamError, Unavailable) as error:
                log.exception("folding_failed", stream=stream, error=repr(error))
                await asyncio.sleep(RETRY_S)

    async def _fold_from_cursor(
        self, stream: str, names: tuple[str, ...], understood: Understood
    ) -> None:
        cursor = await asyncio.to_thread(self._model.cursor, stream)
        rule = ConsumerRule(stream, CONSUMER, names, start_after=cursor)
        consumer = Consumer(self._bus, rule)
        await consumer.ensure()
        queue: asyncio.Queue[Delivered] = asyncio.Queue(maxsize=BATCH_MAX * 2)
        pump = asyncio.create_task(_pump(consumer, queue))
        try:
            batch: list[Delivered] = []
            while True:
                pause = GATHER_S if len(batch) >= BUSY else SETTLE_S
                batch = [await queue.get()]
                await asyncio.sleep(pause)
                # What has its body elsewhere is large: it ends a batch.
                while len(batch) < BATCH_MAX and not queue.empty() and not is_claim(batch[-1].body):
                    batch.append(queue.get_nowait())
                changes = [await self._change(delivered, understood) for delivered in batch]
                await asyncio.to_thread(self._model.apply, stream, changes)
                # With all before it.
                await consumer.done(batch[-1])
                self.moved.set()
                self.moved = asyncio.Event()
                for run in {run for one in batch if (run := _run_of(one.subject))}:
                    self._tell(run)
        finally:
            pump.cancel()

    async def _change(self, delivered: Delivered, understood: Understood) -> Change:
        """What this message changes. Raises Unavailable."""
        try:
            got = await opened(self._claims, delivered)
            # What is large takes its time: the pages go on meanwhile.
            return understood(got) if got is delivered else await asyncio.to_thread(understood, got)
        except (Undecodable, msgspec.MsgspecError, Damaged) as error:
            subject, reason = delivered.subject, str(error)
            log.error("undecodable", subject=subject, reason=reason)  # noqa: TRY400
            return Change(delivered.sequence, lambda _rows: None)


async def _pump(consumer: Consumer, queue: "asyncio.Queue[Delivered]") -> None:
    async for delivered in consumer:
        await queue.put(delivered)


def _run_of(subject: str) -> str:
    """The Run that a message is about, or nothing."""
    match subject.split("."):
        case ["run", _, run, _] | ["lease", run, *_] | ["import", run]:
            return run
        case _:
            return ""


def _of_run(got: Delivered) -> Change:
    run = subjects.run_of(got.subject)
    if got.subject.endswith(".turn"):
        turn = decode_turn(got.body)
        return Change(
            got.sequence,
            lambda rows: fold.fold_turn(rows, run, got.sequence, turn, got.at),
            run=run,
        )
    value = decode_input(got.body)
    return Change(
        got.sequence, lambda rows: fold.fold_input(rows, run, got.sequence, got.at, value), run=run
    )


def _of_lease(got: Delivered) -> Change:
    lease = msgspec.json.decode(got.body, type=Lease)
    run = _run_of(got.subject)
    return Change(got.sequence, lambda rows: fold_jobs.fold_lease(rows, lease), run=run)


def _of_host(got: Delivered) -> Change:
    start = msgspec.json.decode(got.body, type=fold.ProcessStart)
    return Change(got.sequence, lambda rows: fold.fold_process_start(rows, start))


def _of_import(got: Delivered) -> Change:
    try:
        export = decode_export(got.body)
    except BadExport as error:
        raise Undecodable(str(error)) from error
    run = _run_of(got.subject)
    return Change(got.sequence, lambda rows: fold.fold_import(rows, export), run=run)


def _of_intake(got: Delivered) -> Change:
    delivery = decode_delivery(got.body)
    return Change(got.sequence, lambda rows: fold_deliveries.fold_delivery(rows, delivery))


def _of_outcome(got: Delivered) -> Change:
    outcome = msgspec.json.decode(got.body, type=DeliveryOutcome)
    return Change(got.sequence, lambda rows: fold_deliveries.fold_outcome(rows, outcome))
