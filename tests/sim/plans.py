"""Plans: pipelines made at random from every verb, and how each must end.

A `Node` writes its code and says what may come of it, given the script of what the world will do:
which jobs fail, which gates are rejected, which signals come. Where the world's speed decides (the
first of two failures, say) more than one end is right, and all of them are named. `leaves.py` has
what waits for the world only; here is what is made of other nodes.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from pipelines.job import Outcome
from tests.sim.ends import Ends, Node, all_ended, at_once, error, exactly, in_sequence, one_line
from tests.sim.leaves import Leaves


class Author(Leaves):
    """Writes one pipeline: `source` and how its `run` may end."""

    def __init__(self, dice: Random) -> None:
        super().__init__(dice)
        self._inside = 0
        self.beside: dict[str, str] = {}
        self.child_links: dict[str, int] = {}
        top = self._node(depth=self.dice.randrange(1, 4))
        self.ends = top.ends
        self.links = self._define_run(top)
        # In a group with others of its kind; whoever is not willing to wait may be cancelled.
        self.policy = self.dice.choice(["", "", "queue", "queue", "cancel", "replace", "reject"])
        declared = f"on.concurrency('all', policy={self.policy!r})" if self.policy else ""
        self.source = _source([declared, *self.functions]) + self._run_timeout()

    def _run_timeout(self) -> str:
        """Often none. Whether the plan is done in time depends on the world."""
        if self.dice.random() < 0.8:
            return ""
        self.ends = Ends(self.ends.value, self.ends.raises | {"RunTimedOut"})
        return f"\nrun_timeout({self.dice.choice([1, 60, 1200])})\n"

    def _define_run(self, top: Node) -> int:
        """`run`, often after some Runs that continue as new; how many those are."""
        if self.dice.random() < 0.75:
            self.define("run", top, parameters="event, step")
            return 0
        inner, links = f"f{len(self.functions)}", self.dice.randrange(1, 4)
        self.define(inner, top)
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
        self.define("run", Node(body, top.ends), parameters="event, step")
        return links

    def _child(self, depth: int) -> tuple[str, Ends]:
        node = self._node(depth)
        name = f"f{len(self.functions)}"
        self.define(name, node)
        return name, node.ends

    def _node(self, depth: int) -> Node:
        if depth == 0:
            return self.dice.choice(LEAVES)(self)
        return self.dice.choice(BRANCHES)(self, depth - 1)

    def _children(self, depth: int) -> tuple[list[str], list[Ends]]:
        made = [self._child(depth) for _ in range(self.dice.randrange(1, 4))]
        return [name for name, _ in made], [ends for _, ends in made]

    # Pipelines of their own.

    def call(self) -> Node:
        """A pipeline of its own; not inside another, or stories never end."""
        if self._inside:
            return self.do()
        self._inside += 1
        outer, self.functions = self.functions, []
        name, pipeline = self.name("call"), f"child{len(self.beside) + 1}"
        top = self._node(depth=self.dice.randrange(2))
        self.child_links[pipeline] = self._define_run(top)
        self.beside[pipeline] = _source(self.functions)
        self.functions = outer
        self._inside -= 1
        raises = frozenset(["RunFailed"]) if top.ends.raises else frozenset[str]()
        body = f"return await step.call({name!r}, {pipeline!r})"
        return one_line(body, Ends(top.ends.value, raises))

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
        return one_line(body, error("WrongInput") if wrong else exactly({"n": value, "env": "eu"}))

    # Branches.

    def sequence(self, depth: int) -> Node:
        names, ends = self._children(depth)
        calls = ", ".join(f"await {name}(step)" for name in names)
        return one_line(f"return [{calls}]", in_sequence(ends))

    def parallel(self, depth: int) -> Node:
        names, ends = self._children(depth)
        fail_fast, limit = self.dice.random() < 0.5, self.dice.choice([None, None, 1, 2])
        options = f"fail_fast={fail_fast}, limit={limit}"
        body = f"return await step.parallel({_calls(names)}, {options})"
        return one_line(body, at_once(ends) if fail_fast else all_ended(ends))

    def first(self, depth: int) -> Node:
        names, ends = self._children(depth)
        fits = [one.value for one in ends]

        def one_of_them(found: Any) -> bool:
            fit = fits[found[0]]
            return fit is not None and fit(found[1])

        raises = frozenset[str]().union(*(one.raises for one in ends))
        some = any(fit is not None for fit in fits)
        body = f"return list(await step.first({_calls(names)}))"
        return one_line(body, Ends(one_of_them if some else None, raises))

    def gather(self, depth: int) -> Node:
        names, ends = self._children(depth)
        return one_line(f"return await asyncio.gather({_calls(names)})", at_once(ends))

    def task_group(self, depth: int) -> Node:
        names, ends = self._children(depth)
        made = ", ".join(f"group.create_task({name}(step))" for name in names)
        found = at_once(ends)
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
        return one_line(f"return await {name}(step.scope({self.name('scope')!r}))", ends)

    def repeated(self, depth: int) -> Node:
        leaf = self.dice.choice([Author.do, Author.do_async, Author.sleep, Author.job])(self)
        name = f"f{len(self.functions)}"
        self.define(name, leaf)
        times = self.dice.randrange(2, 5)
        body = f"return [await {name}(step) for _ in range({times})]"
        return one_line(body, in_sequence([leaf.ends] * times))


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


def _calls(names: list[str]) -> str:
    return ", ".join(f"{name}(step)" for name in names)
