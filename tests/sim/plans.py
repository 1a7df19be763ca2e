"""Plans: pipelines made at random from every verb, and the oracle that knows how each must end.

A `Node` writes its code and says what may come of it, given the script of what the world will do:
which jobs fail, which gates are rejected, which signals come. Where the world's speed decides (the
first of two failures, say) more than one end is right, and the oracle names them all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pipelines.job import Outcome


@dataclass(frozen=True, slots=True)
class GateScript:
    """What people do at a gate: approve, reject, or nothing."""

    approved: bool | None
    value: int = 0


@dataclass(slots=True)
class Script:
    """What the world will do, by the leaf's name. Jobs: outcomes by attempt."""

    jobs: dict[str, list[Outcome]] = field(default_factory=dict)
    gates: dict[str, GateScript] = field(default_factory=dict)
    signals: dict[str, Any] = field(default_factory=dict)
    # Of the same names, and not what the wait is for.
    noise: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ends:
    """How a node may end: with a value that fits `value`, or with one of these errors.

    `value` None: it always raises. `raises` empty: it never does.
    """

    value: Callable[[Any], bool] | None
    raises: frozenset[str] = frozenset()


def exactly(value: Any) -> Ends:
    """It gives this and nothing else."""
    return Ends(lambda found: bool(found == value))


def error(name: str) -> Ends:
    """It raises this and nothing else."""
    return Ends(None, frozenset([name]))


@dataclass(frozen=True, slots=True)
class Node:
    """The body of one async function of the pipeline, and how it may end."""

    body: str
    ends: Ends


class Author:
    """Writes one pipeline: `source` and how its `run` may end."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.script = Script()
        self.undoable: set[str] = set()
        self.said: set[str] = set()
        self.secret: set[str] = set()
        self._functions: list[str] = []
        self._leaves = 0
        self._inside = 0
        self.beside: dict[str, str] = {}
        self.child_links: dict[str, int] = {}
        top = self._node(depth=self.dice.randrange(1, 4))
        self.ends = top.ends
        self.links = self._define_run(top)
        # In a group with others of its kind; whoever is not willing to wait may be cancelled.
        self.policy = self.dice.choice(["", "", "queue", "queue", "cancel", "replace", "reject"])
        declared = f"on.concurrency('all', policy={self.policy!r})" if self.policy else ""
        self.source = _source([declared, *self._functions]) + self._run_timeout()

    def _run_timeout(self) -> str:
        """Often none. Whether the plan is done in time depends on the world."""
        if self.dice.random() < 0.8:
            return ""
        self.ends = Ends(self.ends.value, self.ends.raises | {"RunTimedOut"})
        return f"\nrun_timeout({self.dice.choice([1, 60, 1200])})\n"

    def _define(self, name: str, node: Node, parameters: str = "step") -> None:
        self._functions.append(f"async def {name}({parameters}):\n{node.body}\n")

    def _define_run(self, top: Node) -> int:
        """`run`, often after some Runs that continue as new; how many those are."""
        if self.dice.random() < 0.75:
            self._define("run", top, parameters="event, step")
            return 0
        inner, links = f"f{len(self._functions)}", self.dice.randrange(1, 4)
        self._define(inner, top)
        name = self.name("link")
        self.script.jobs[name] = [Outcome.SUCCEEDED]
        # All are sent to the first Run, at any time: each is taken by its own link.
        self.script.signals.update({f"{name}-{n}": n for n in range(links)})
        before = self.dice.choice(
            [
                f"await step.job({name!r}, run='true')",
                f"await step.sleep({name!r}, 40)",
                f"await step.do({name!r}, lambda: n)",
                f"assert n == await step.wait_for_event({name!r}, event=f'{name}-{{n}}')",
            ]
        )
        lines = [
            "n = event.inputs.get('n', 0)",
            f"if n < {links}:",
            f"    {before}",
            "    step.continue_as_new({**event.inputs, 'n': n + 1})",
            f"return await {inner}(step)",
        ]
        body = "\n".join(f"    {line}" for line in lines)
        self._define("run", Node(body, top.ends), parameters="event, step")
        return links

    def _child(self, depth: int) -> tuple[str, Ends]:
        node = self._node(depth)
        name = f"f{len(self._functions)}"
        self._define(name, node)
        return name, node.ends

    def _node(self, depth: int) -> Node:
        if depth == 0:
            return self.dice.choice(LEAVES)(self)
        return self.dice.choice(BRANCHES)(self, depth - 1)

    def _children(self, depth: int) -> tuple[list[str], list[Ends]]:
        made = [self._child(depth) for _ in range(self.dice.randrange(1, 4))]
        return [name for name, _ in made], [ends for _, ends in made]

    def name(self, kind: str) -> str:
        self._leaves += 1
        return f"{kind}{self._leaves}"

    def _rollback(self, name: str) -> str:
        """The option for this leaf, often none. What a rollback does changes no Run's end."""
        if self.dice.random() < 0.6:
            return ""
        self.undoable.add(name)
        undo, inner = f"f{len(self._functions)}", self.name("undo")
        outcomes = [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.LOST]
        self.script.jobs[inner] = [self.dice.choice(outcomes)]
        lines = [
            f"await step.job({inner!r}, run='true')",
            f"await step.do({inner!r}, lambda: repr(result))",
            f"await step.sleep({inner!r}, 40)",
            "raise ValueError('no way back')",
        ]
        self._define(undo, Node("    " + self.dice.choice(lines), exactly(None)), "step, result")
        return f", rollback={undo}"

    # Leaves.

    def do(self) -> Node:
        name, value = self.name("do"), self.dice.randrange(1000)
        undo = self._rollback(name)
        if self.dice.random() < 0.2:
            self.secret.add(name)
            undo += ", sensitive=True"
        return _body(f"return await step.do({name!r}, lambda: {value}{undo})", exactly(value))

    def do_async(self) -> Node:
        name, value = self.name("do"), self.dice.randrange(1000)
        pause, undo = self.dice.choice([0, 1, 90]), self._rollback(name)
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
        ends = exactly(0) if outcome is Outcome.SUCCEEDED else error("JobFailed")
        retries = f"retries=Retry({limit}, delay='2s')"
        call = f"step.job({name!r}, run='true', {retries}{self._rollback(name)})"
        return _body(f"return (await {call}).exit_code", ends)

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
        return _body(f"return (await {call}).inputs['value']", ends[approved])

    def sleep(self) -> Node:
        name, seconds = self.name("sleep"), self.dice.choice([0, 1, 45, 600])
        return _body(f"return await step.sleep({name!r}, {seconds})", exactly(None))

    def wait(self) -> Node:
        name, value = self.name("wait"), self.dice.randrange(1000)
        if self.dice.random() < 0.3:
            body = f"return await step.wait_for_event({name!r}, timeout='20m')"
            return _body(body, error("StepTimedOut"))
        self.script.signals[name] = value
        return _body(f"return await step.wait_for_event({name!r})", exactly(value))

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

    def call(self) -> Node:
        """A pipeline of its own; not inside another, or stories never end."""
        if self._inside:
            return self.do()
        self._inside += 1
        outer, self._functions = self._functions, []
        name, pipeline = self.name("call"), f"child{len(self.beside) + 1}"
        top = self._node(depth=self.dice.randrange(2))
        self.child_links[pipeline] = self._define_run(top)
        self.beside[pipeline] = _source(self._functions)
        self._functions = outer
        self._inside -= 1
        raises = frozenset(["RunFailed"]) if top.ends.raises else frozenset[str]()
        body = f"return await step.call({name!r}, {pipeline!r})"
        return _body(body, Ends(top.ends.value, raises))

    def call_with_inputs(self) -> Node:
        """What the called pipeline asks for is completed, or nothing begins."""
        if self._inside:
            return self.do()
        name, pipeline = self.name("call"), f"child{len(self.beside) + 1}"
        value = self.dice.randrange(50)
        asks = f"on.manual(inputs={{'n': Input(int, default={value}, max=99), 'env': ['eu']}})"
        returns = "async def run(event, step):\n    return event.inputs\n"
        self.beside[pipeline] = _source([asks, returns])
        wrong = self.dice.choice(["", "", "", "'n': 100, ", "'what': 1, "])
        body = f"return await step.call({name!r}, {pipeline!r}, {{{wrong}'env': 'eu'}})"
        return _body(body, error("WrongInput") if wrong else exactly({"n": value, "env": "eu"}))

    # Branches.

    def sequence(self, depth: int) -> Node:
        names, ends = self._children(depth)
        calls = ", ".join(f"await {name}(step)" for name in names)
        return _body(f"return [{calls}]", _in_sequence(ends))

    def parallel(self, depth: int) -> Node:
        names, ends = self._children(depth)
        fail_fast, limit = self.dice.random() < 0.5, self.dice.choice([None, None, 1, 2])
        options = f"fail_fast={fail_fast}, limit={limit}"
        body = f"return await step.parallel({_calls(names)}, {options})"
        return _body(body, _at_once(ends) if fail_fast else _all_ended(ends))

    def first(self, depth: int) -> Node:
        names, ends = self._children(depth)
        fits = [one.value for one in ends]

        def one_of_them(found: Any) -> bool:
            fit = fits[found[0]]
            return fit is not None and fit(found[1])

        raises = frozenset[str]().union(*(one.raises for one in ends))
        some = any(fit is not None for fit in fits)
        body = f"return list(await step.first({_calls(names)}))"
        return _body(body, Ends(one_of_them if some else None, raises))

    def gather(self, depth: int) -> Node:
        names, ends = self._children(depth)
        return _body(f"return await asyncio.gather({_calls(names)})", _at_once(ends))

    def task_group(self, depth: int) -> Node:
        names, ends = self._children(depth)
        made = ", ".join(f"group.create_task({name}(step))" for name in names)
        found = _at_once(ends)
        raises = frozenset(["ExceptionGroup"]) if found.raises else frozenset[str]()
        return Node(
            f"    async with asyncio.TaskGroup() as group:\n        tasks = [{made}]\n"
            "    return [task.result() for task in tasks]",
            Ends(found.value, raises),
        )

    def caught(self, depth: int) -> Node:
        name, ends = self._child(depth)
        fits, raises = ends.value, ends.raises
        return Node(
            f"    try:\n        return await {name}(step)\n    except Exception as error:\n"
            "        return 'caught ' + type(error).__name__",
            Ends(lambda f: f in [f"caught {n}" for n in raises] or (fits is not None and fits(f))),
        )

    def cleaned(self, depth: int) -> Node:
        name, ends = self._child(depth)
        after, value = self.name("do"), self.dice.randrange(1000)
        return Node(
            f"    try:\n        return await {name}(step)\n    finally:\n"
            f"        await step.do({after!r}, lambda: {value})",
            ends,
        )

    def scope(self, depth: int) -> Node:
        name, ends = self._child(depth)
        return _body(f"return await {name}(step.scope({self.name('scope')!r}))", ends)

    def repeated(self, depth: int) -> Node:
        leaf = self.dice.choice([Author.do, Author.do_async, Author.sleep, Author.job])(self)
        name = f"f{len(self._functions)}"
        self._define(name, leaf)
        times = self.dice.randrange(2, 5)
        body = f"return [await {name}(step) for _ in range({times})]"
        return _body(body, _in_sequence([leaf.ends] * times))


LEAVES: list[Callable[[Author], Node]] = [
    Author.do,
    Author.do_async,
    Author.do_again,
    Author.say,
    Author.job,
    Author.job,
    Author.gate,
    Author.sleep,
    Author.wait,
    Author.wait_match,
    Author.first_wait,
    Author.too_late,
    Author.call,
    Author.call_with_inputs,
]
BRANCHES: list[Callable[[Author, int], Node]] = [
    Author.sequence,
    Author.sequence,
    Author.parallel,
    Author.first,
    Author.gather,
    Author.task_group,
    Author.caught,
    Author.cleaned,
    Author.scope,
    Author.repeated,
]


def _source(functions: list[str]) -> str:
    return "import asyncio\n\nfrom staunch import *\n\n" + "\n".join(functions)


def _body(line: str, ends: Ends) -> Node:
    return Node("    " + line, ends)


def _calls(names: list[str]) -> str:
    return ", ".join(f"{name}(step)" for name in names)


def _list_of(ends: list[Ends]) -> Callable[[Any], bool] | None:
    fits = [one.value for one in ends]
    if any(fit is None for fit in fits):
        return None
    return lambda found: (
        isinstance(found, list)
        and len(found) == len(fits)
        and all(fit is not None and fit(one) for fit, one in zip(fits, found, strict=True))
    )


def _in_sequence(ends: list[Ends]) -> Ends:
    raises: frozenset[str] = frozenset()
    for one in ends:
        raises |= one.raises
        if one.value is None:
            return Ends(None, raises)
    return Ends(_list_of(ends), raises)


def _at_once(ends: list[Ends]) -> Ends:
    return Ends(_list_of(ends), frozenset[str]().union(*(one.raises for one in ends)))


def _all_ended(ends: list[Ends]) -> Ends:
    breaking = [one for one in ends if one.raises]
    sure = [one for one in breaking if one.value is None]
    single = frozenset[str]().union(*(one.raises for one in breaking))
    if len(sure) > 1:
        return Ends(None, frozenset(["ExceptionGroup"]))
    several = frozenset(["ExceptionGroup"]) if len(breaking) > 1 else frozenset[str]()
    return Ends(_list_of(ends), single | several)
