"""Leaves: the verbs that wait for nothing but the world, each written with what will come of it."""

from random import Random

from pipelines.job import Outcome
from tests.sim.ends import Node, error, exactly, one_line
from tests.sim.script import GateScript, Script


class Leaves:
    """Writes functions of a pipeline, and into the script what the world will do about them."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.script = Script()
        self.undoable: set[str] = set()
        self.said: set[str] = set()
        self.secret: set[str] = set()
        self.functions: list[str] = []
        self._leaves = 0

    def define(self, name: str, node: Node, parameters: str = "step") -> None:
        """A function of the pipeline."""
        self.functions.append(f"async def {name}({parameters}):\n{node.body}\n")

    def name(self, kind: str) -> str:
        """A name that no other leaf has."""
        self._leaves += 1
        return f"{kind}{self._leaves}"

    def rollback(self, name: str) -> str:
        """The option for this leaf, often none. What a rollback does changes no Run's end."""
        if self.dice.random() < 0.6:
            return ""
        self.undoable.add(name)
        undo, inner = f"f{len(self.functions)}", self.name("undo")
        outcomes = [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.LOST]
        self.script.jobs[inner] = [self.dice.choice(outcomes)]
        lines = [
            f"await step.job({inner!r}, run='true')",
            f"await step.do({inner!r}, lambda: repr(result))",
            f"await step.sleep({inner!r}, 40)",
            "raise ValueError('no way back')",
        ]
        self.define(undo, Node("    " + self.dice.choice(lines), exactly(None)), "step, result")
        return f", rollback={undo}"

    def do(self) -> Node:
        name, value = self.name("do"), self.dice.randrange(1000)
        undo = self.rollback(name)
        if self.dice.random() < 0.2:
            self.secret.add(name)
            undo += ", sensitive=True"
        return one_line(f"return await step.do({name!r}, lambda: {value}{undo})", exactly(value))

    def do_async(self) -> Node:
        name, value = self.name("do"), self.dice.randrange(1000)
        pause, undo = self.dice.choice([0, 1, 90]), self.rollback(name)
        return Node(
            f"    async def work():\n        await asyncio.sleep({pause})\n"
            f"        return {value}\n    return await step.do({name!r}, work{undo})",
            exactly(value),
        )

    def do_again(self) -> Node:
        name, fails, limit = self.name("do"), self.dice.randrange(3), self.dice.randrange(3)
        wrong = self.dice.choice(["ValueError('not yet')", "RetryAfter('7s', 'not yet')"])
        pause = self.dice.choice(["delay='3s'", "backoff=lambda attempt: 11 * attempt"])
        ends = exactly("at last") if fails <= limit else error(wrong.partition("(")[0])
        return Node(
            f"    left = [{fails}]\n    def work():\n        if left[0]:\n"
            f"            left[0] -= 1\n            raise {wrong}\n"
            f"        return 'at last'\n"
            f"    return await step.do({name!r}, work, retries=Retry({limit}, {pause}))",
            ends,
        )

    def say(self) -> Node:
        name = self.name("say")
        self.said.add(name)
        return Node(f"    step.set({name!r}, done=1)\n    return 1", exactly(1))

    def job(self) -> Node:
        name, limit = self.name("job"), self.dice.randrange(3)
        bad = [Outcome.FAILED, Outcome.LOST, Outcome.TIMED_OUT, Outcome.REFUSED]
        outcomes = [
            Outcome.SUCCEEDED if self.dice.random() < 0.7 else self.dice.choice(bad)
            for _ in range(limit + 1)
        ]
        self.script.jobs[name] = outcomes
        for outcome in outcomes:
            if outcome in (Outcome.SUCCEEDED, Outcome.REFUSED):
                break
        given = {"limit": limit, "name": [name]} if limit else {}
        self.script.outputs[name] = given
        wanted = exactly([0, given])
        ends = wanted if outcome is Outcome.SUCCEEDED else error("JobFailed")
        retries = f"retries=Retry({limit}, delay='2s')"
        call = f"step.job({name!r}, run='true', {retries}{self.rollback(name)})"
        return Node(f"    done = await {call}\n    return [done.exit_code, done.outputs]", ends)

    def gate(self) -> Node:
        name, value = self.name("gate"), self.dice.randrange(100)
        approved = self.dice.choice([True, True, False, None])
        self.script.gates[name] = GateScript(approved, value)
        ends = {True: exactly(value), False: error("GateRejected"), None: error("GateTimedOut")}
        asked = self.dice.choice(["int", "Input(int, min=0, max=99)", "list(range(100))"])
        # Bob caused every run of the simulation, and tries to answer at every gate.
        who = self.dice.choice(["approvers=['ada']", "not_author=True"])
        if approved is None:
            act = self.dice.choice(["raise", "approve", "reject"])
            who += f", timeout='30m', on_timeout={act!r}"
            if act == "approve":
                asked = f"Input(int, default={value})"
                ends[None] = exactly(value)
            elif act == "reject":
                ends[None] = error("GateRejected")
        call = f"step.gate({name!r}, {who}, inputs={{'value': {asked}}})"
        return one_line(f"return (await {call}).inputs['value']", ends[approved])

    def sleep(self) -> Node:
        name, seconds = self.name("sleep"), self.dice.choice([0, 1, 45, 600])
        return one_line(f"return await step.sleep({name!r}, {seconds})", exactly(None))

    def wait(self) -> Node:
        name, value = self.name("wait"), self.dice.randrange(1000)
        if self.dice.random() < 0.3:
            body = f"return await step.wait_for_event({name!r}, timeout='20m')"
            return one_line(body, error("StepTimedOut"))
        self.script.signals[name] = value
        return one_line(f"return await step.wait_for_event({name!r})", exactly(value))

    def wait_match(self) -> Node:
        """What does not match stays there for whoever takes anything."""
        name, value = self.name("wait"), self.dice.randrange(1000)
        payload, noise = {"build": {"number": value}}, {"build": {"number": -1}}
        self.script.signals[name], self.script.noise[name] = payload, noise
        names = self.dice.choice([[name, "never"], ["never", name]])
        return Node(
            f"    got = await step.wait_for_event({name!r}, event={names},"
            f" match={{'build.number': {value}}})\n"
            f"    return [*got, await step.wait_for_event('rest', event={name!r})]",
            exactly([name, payload, noise]),
        )

    def first_wait(self) -> Node:
        """A signal that the winner did not take is there for the next."""
        name, value = self.name("wait"), self.dice.randrange(1000)
        self.script.signals[name], pause = value, self.dice.choice([0, 1, 60])
        got = f"await step.wait_for_event('again', event={name!r})"
        return Node(
            f"    which, value = await step.first(nap=step.sleep('nap', {pause}),"
            f" got=step.wait_for_event({name!r}))\n"
            f"    return value if which == 'got' else {got}",
            exactly(value),
        )

    def too_late(self) -> Node:
        name, seconds = self.name("never"), self.dice.choice([0, 2, 300])
        return Node(
            f"    try:\n        async with asyncio.timeout({seconds}):\n"
            f"            await step.wait_for_event({name!r})\n"
            "    except TimeoutError:\n        return 'too late'",
            exactly("too late"),
        )
