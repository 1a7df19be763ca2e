"""NatsHistory: the Histories on the RUNS_k streams (docs/bus.md). Implements HistoryStore."""

from datetime import UTC, datetime

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import MESSAGE_ID, Bus, Stored, expected
from ci_host.adapters.nats.claims import Claims, claim_of
from ci_host.ports import (
    Conflict,
    Damaged,
    LostTurn,
    Remains,
    StoredHistory,
    StoredInput,
    StoredTurn,
)
from pipelines.codec import decode_input, decode_turn, encode_input, encode_turn
from pipelines.events import Input, RunStarted, TimerFired
from pipelines.ids import RunId, shard_of
from pipelines.run import RunState
from pipelines.turn import Turn


class NatsHistory:
    """See HistoryStore. `incarnation` names this process's life in the Msg-Ids of Turns.

    `replicas`: how many servers keep each message. One alone always answers with the newest.
    """

    def __init__(self, bus: Bus, incarnation: str, replicas: int = 1) -> None:
        self._bus = bus
        self._claims = Claims(bus)
        self._incarnation = incarnation
        self._newest = bus.newest if replicas > 1 else bus.last

    async def create(self, run: RunId, first: RunStarted) -> bool:
        body = await self._claims.lay(encode_input(first))
        return await self._bus.put_once(subjects.run_subject(run, "in"), body)

    async def append_input(self, run: RunId, value: Input, *, after: int | None = None) -> int:
        headers = None if after is None else expected(after)
        subject = subjects.run_subject(run, "in")
        body = await self._claims.lay(encode_input(value))
        return (await self._bus.publish(subject, body, headers)).seq

    async def append_turn(self, run: RunId, turn: Turn, *, after: int) -> int:
        # The id names engine and expectation: a replicated server answers "duplicate" before it
        # checks the sequence, and an id of run and number alone would make the loser believe.
        message_id = f"{run}:{turn.number}:{self._incarnation}:{after}"
        headers = {**expected(after), MESSAGE_ID: message_id}
        body = await self._claims.lay(encode_turn(turn), turn.state)
        ack = await self._bus.publish(subjects.run_subject(run, "turn"), body, headers)
        if ack.duplicate:
            raise Conflict(f"turn {turn.number} of {run} was stored before")
        # A hint for whoever is looking at this Run; what must know has a durable consumer.
        await self._bus.hint(subjects.moved(run))
        return ack.seq

    async def read(self, run: RunId) -> StoredHistory:
        stream = subjects.runs_stream(shard_of(run))
        history = StoredHistory(armed=None)
        armed: float | None = None
        lost: list[LostTurn] = []
        damages: list[Damaged] = []
        for message in await self._bus.read(stream, subjects.run_subject(run, ">")):
            kind = message.subject.rsplit(".", 1)[1]
            try:
                if kind == "in":
                    history.inputs.append(await self._input(message))
                elif kind == "turn":
                    history.turns.append(await self._turn(message))
                elif kind == "timer":
                    armed = _due(message)
            except Damaged as damaged:
                damages.append(damaged)
                claim = claim_of(message.body)
                if kind == "turn" and claim is not None:
                    lost.append(LostTurn(message.sequence, claim.state))
        stored = StoredHistory(history.inputs, history.turns, armed)
        if damages:
            raise Damaged(str(damages[0]), Remains(stored, lost))
        return stored

    async def inputs_after(
        self, run: RunId, sequence: int, *, at_most: int | None = None
    ) -> list[StoredInput]:
        stream, subject = subjects.runs_stream(shard_of(run)), subjects.run_subject(run, "in")
        found = await self._bus.read(stream, subject, sequence, at_most)
        return [await self._input(message) for message in found]

    async def started(self, run: RunId) -> RunStarted | None:
        stream = subjects.runs_stream(shard_of(run))
        message = await self._bus.first(stream, subjects.run_subject(run, "in"))
        first = None if message is None else (await self._input(message)).input
        return first if isinstance(first, RunStarted) else None

    async def first_turn(self, run: RunId) -> StoredTurn | None:
        stream = subjects.runs_stream(shard_of(run))
        message = await self._bus.first(stream, subjects.run_subject(run, "turn"))
        return None if message is None else await self._turn(message)

    async def last_turn(self, run: RunId) -> StoredTurn | None:
        stream = subjects.runs_stream(shard_of(run))
        # Whoever asks means to act on it.
        message = await self._newest(stream, subjects.run_subject(run, "turn"))
        return None if message is None else await self._turn(message)

    async def state(self, run: RunId) -> RunState | None:
        stream = subjects.runs_stream(shard_of(run))
        message = await self._newest(stream, subjects.run_subject(run, "turn"))
        claim = None if message is None else claim_of(message.body)
        if claim is not None and claim.state is not None:
            return claim.state
        return None if message is None else (await self._turn(message)).turn.state

    async def turns_through(self, run: RunId) -> int:
        stream = subjects.runs_stream(shard_of(run))
        message = await self._newest(stream, subjects.run_subject(run, "turn"))
        return 0 if message is None else message.sequence

    async def arm(self, run: RunId, due: float) -> None:
        # No Msg-Id: a timer that is armed, fired and armed again inside the dedupe window would be
        # acknowledged as a duplicate and never stored. Publishing again replaces what was armed.
        headers = {
            "Nats-Schedule": f"@at {datetime.fromtimestamp(due, UTC).isoformat()}",
            "Nats-Schedule-Target": subjects.run_subject(run, "in"),
        }
        body = encode_input(TimerFired(due=due))
        await self._bus.publish(subjects.run_subject(run, "timer"), body, headers)

    async def disarm(self, run: RunId) -> None:
        stream = subjects.runs_stream(shard_of(run))
        await self._bus.purge(stream, subjects.run_subject(run, "timer"))

    async def _input(self, message: Stored) -> StoredInput:
        body = await self._claims.body_of(message.subject, message.sequence, message.body)
        return StoredInput(message.sequence, message.at, decode_input(body))

    async def _turn(self, message: Stored) -> StoredTurn:
        body = await self._claims.body_of(message.subject, message.sequence, message.body)
        return StoredTurn(message.sequence, decode_turn(body))


def _due(message: Stored) -> float:
    fired = decode_input(message.body)
    assert isinstance(fired, TimerFired)
    return fired.due
