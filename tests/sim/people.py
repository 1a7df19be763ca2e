"""People: those who answer, send, cancel, pause and try again in a story, as the script has it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random

from ci_host.access import Token
from ci_host.engine.forks import Forks, ForkWish
from ci_host.engine.people import Answer, People, PersonRefused
from ci_host.engine.reruns import Reruns, Wish
from ci_host.ports import Unavailable
from pipelines.events import GateAnswered
from pipelines.ids import SHARDS_DEFAULT
from pipelines.priority import LEVELS
from tests.sim.judge import leaf
from tests.sim.stores import SimHistory
from tests.sim.told import Told

ADA = Token(name="ada", digest="")
BOB = Token(name="Bob", digest="")


class Crowd:
    """Everybody. `told`: all Runs of the story; `priorities`: the dice for theirs.

    `go` lets something happen beside the rest.
    """

    def __init__(
        self,
        dice: Random,
        priorities: Random,
        history: SimHistory,
        told: list[Told],
        go: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        self.dice = dice
        self.priorities = priorities
        self.history = history
        self.told = told
        self._go = go

    def _person(self) -> People:
        return People(
            self.history,
            now=lambda: self.history.now,
            new_id=lambda: f"{self.dice.getrandbits(64):x}",
        )

    async def play(self, told: Told) -> None:
        """Whatever people do for this Run, until it is over."""
        if told.before is None:
            self._send_signals(told)
        answered: set[str] = set()
        while True:
            last = await self.history.last_turn(told.run)
            if last is not None and last.turn.end is not None:
                return
            for gate in last.turn.open.gates if last is not None else []:
                if gate.key not in answered:
                    answered.add(gate.key)
                    self._go(self._answer(told, gate.key))
            for pause in last.turn.open.pauses if last is not None else []:
                if self.dice.random() < 0.3:
                    with suppress(PersonRefused, Unavailable):
                        await self._person().retry_now(told.run, pause.key, ADA)
            await asyncio.sleep(self.dice.choice([0.3, 4.0, 60.0]))

    def _send_signals(self, told: Told) -> None:
        """To the first of a chain: what it does not take is passed on."""
        for name, value in told.author.script.signals.items():
            self._go(self._signal(told, name, value))
        for name, value in told.author.script.noise.items():
            self._go(self._signal(told, name, value, f"noise-{name}"))

    async def _answer(self, told: Told, key: str) -> None:
        await self._not_by_bob(told, key)
        script = told.author.script.gates[leaf(key)]
        if script.approved is None:
            return
        inputs = {"value": script.value} if script.approved else {}
        for _ in range(self.dice.choice([1, 1, 2])):
            await asyncio.sleep(self.dice.choice([0.0, 1.0]))
            with suppress(PersonRefused, Unavailable):
                await self._person().answer_gate(
                    told.run, key, ADA, Answer(script.approved, inputs)
                )

    async def _not_by_bob(self, told: Told, key: str) -> None:
        """The host refuses him, and the plan would not hear him either."""
        with suppress(PersonRefused, Unavailable):
            await self._person().answer_gate(told.run, key, BOB, Answer(False, {}))
        forged = GateAnswered(id=f"bob-{key}", key=key, approved=False, by="bob")
        sequence = await self.history.append_input(told.run, forged)
        # The host would take it for an answer until the plan has ignored it.
        while (last := await self.history.last_turn(told.run)) is None or (
            last.turn.through < sequence and last.turn.end is None
        ):
            await asyncio.sleep(1)

    async def _signal(self, told: Told, name: str, value: object, id_: str = "") -> None:
        await asyncio.sleep(self.dice.choice([0.0, 0.5, 60.0, 900.0]))
        for _ in range(self.dice.choice([1, 1, 2])):
            with suppress(PersonRefused):
                await self._person().signal(told.run, name, value, ADA, id_ or f"signal-{name}")

    async def change_of_mind(self, told: Told) -> None:
        """Somebody cancels it."""
        await asyncio.sleep(self.dice.choice([0.0, 0.2, 20.0, 500.0]))
        told.cancelled = True
        with suppress(PersonRefused):
            await self._person().cancel(told.run, "changed my mind", ADA)

    async def pauses(self, told: Told) -> None:
        """Somebody who pauses now and then, and never forgets to let it go on."""
        for _ in range(self.dice.choice([1, 1, 3])):
            await asyncio.sleep(self.dice.choice([0.0, 0.2, 20.0, 500.0]))
            with suppress(PersonRefused):
                await self._person().pause(told.run, "a moment", ADA)
                await asyncio.sleep(self.dice.choice([0.0, 0.5, 60.0, 1500.0]))
            with suppress(PersonRefused):
                await self._person().resume(told.run, ADA)

    async def kill(self, told: Told) -> None:
        """Somebody ends it at once."""
        await asyncio.sleep(self.dice.choice([0.0, 0.2, 20.0, 500.0]))
        told.killed = True
        with suppress(PersonRefused):
            await self._person().kill(told.run, "enough", ADA)

    async def rerun(self) -> bool:
        """Somebody has a Run of which nothing moves any more tried again; whether anybody did."""
        wished = [told for told in self.told if told.is_rerun]
        for told in wished:
            told.is_rerun = False
            # People send all their signals again; where two have one name, the order would tell.
            kept = not told.author.script.noise and self.dice.random() < 0.8
            wish = Wish(kept, priority=self.priorities.choice([None, *LEVELS]))
            begun = await Reruns(self.history, SHARDS_DEFAULT).rerun(told.run, wish, BOB)
            again = Told(begun.run, told.author, told.ends, of=told.run)
            self.told.append(again)
            self._go(self.play(again))
        return bool(wished)

    async def fork(self) -> bool:
        """Somebody forks what is over, from anywhere in it; whether anybody did."""
        wished = [told for told in self.told if told.is_fork]
        for told in wished:
            told.is_fork = False
            stored = await self.history.read(told.run)
            keys = [c.key for kept in stored.turns for c in kept.turn.commands]
            # As with a rerun: where two signals have one name, the order would tell.
            chosen = "" if told.author.script.noise else self.dice.choice(["", *keys])
            wish = ForkWish("again", {}, chosen, self.priorities.choice([None, *LEVELS]))
            forks = Forks(self.history, SHARDS_DEFAULT)
            for _ in range(self.dice.choice([1, 2])):
                made = await forks.fork(told.run, wish, "Bob", None)
            forked = Told(made.run, told.author, told.ends, of=told.run)
            self.told.append(forked)
            self._go(self.play(forked))
        return bool(wished)
