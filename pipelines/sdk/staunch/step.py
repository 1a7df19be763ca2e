"""Step: the verbs of a plan. Each asks for something durable and gives an awaitable.

Here: names, argument checks, and which verb does what; how each works is in its own module. Options
are checked and the key is taken when the verb is called; the step begins when it is awaited.
"""

import difflib
import sys
import unicodedata
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NoReturn, TypeVar, overload

from staunch import calls, continuing, gates, jobs, notes, waits, work
from staunch.artifacts import Artifact, Patterns
from staunch.attempt import CURRENT
from staunch.caches import Cache
from staunch.durations import Duration, optional_seconds
from staunch.first import checked_racers, first
from staunch.ledger import Ledger, Site
from staunch.parallel import checked_steps, join
from staunch.results import First, GateAnswer, JobResult
from staunch.retry import Retry, checked
from staunch.services import Service
from staunch.shell import Run
from staunch.sizes import Size
from staunch.usage import Usage
from staunch.wanted_secrets import Secrets

T = TypeVar("T")
Rollback = Callable[["Step", Any], Coroutine[Any, Any, object]]

NAME_CHARS_MAX = 256
OnTimeout = Literal["raise", "approve", "reject"]
VERBS = (
    "do",
    "job",
    "gate",
    "sleep",
    "sleep_until",
    "wait_for_event",
    "call",
    "start",
    "continue_as_new",
    "parallel",
    "first",
    "scope",
    "set",
)


class Step:
    """What `run(event, step)` is given. `step.scope(name)` gives one whose names are apart."""

    __slots__ = ("_ledger", "_path")

    def __init__(self, ledger: Ledger, path: str = "") -> None:
        self._ledger = ledger
        self._path = path

    def scope(self, name: str) -> "Step":
        """The same verbs under a name of their own: `step.scope("eu").job("deploy", …)`."""
        return Step(self._ledger, self._path + _name(name) + "/")

    @overload
    def do(
        self,
        name: str,
        fn: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        retries: Retry | None = ...,
        timeout: Duration | None = ...,
        rollback: Rollback | None = ...,
        sensitive: bool = ...,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def do(
        self,
        name: str,
        fn: Callable[..., T],
        *args: Any,
        retries: Retry | None = ...,
        timeout: Duration | None = ...,
        rollback: Rollback | None = ...,
        sensitive: bool = ...,
    ) -> Coroutine[Any, Any, T]: ...
    def do(
        self,
        name: str,
        fn: Callable[..., Any],
        *args: Any,
        retries: Retry | None = None,
        timeout: Duration | None = None,
        rollback: Rollback | None = None,
        sensitive: bool = False,
    ) -> Coroutine[Any, Any, Any]:
        """Call `fn(*args)` here and keep what it returns: on replay it is not computed again.

        The value must be plain data (what JSON holds) and comes back as such: a tuple as a list.
        `timeout` bounds each attempt of an `async` function by the Run's clock. `rollback(step,
        value)` is called if the Run fails or is cancelled after this step has succeeded. A
        `sensitive` value is kept for replay and shown nowhere.
        """
        if not callable(fn):
            hint = "; pass the function itself: step.do(name, fn, *args)"
            raise TypeError(f"step.do needs a function, not {type(fn).__name__}{hint}")
        if not isinstance(sensitive, bool):
            raise TypeError(f"sensitive must be True or False, not {sensitive!r}")
        limit, undo = optional_seconds(timeout), _rollback(rollback)
        call = work.Call(fn, args, checked(retries), limit, undo, sensitive)
        key = self._key("do", name)
        return self._given("do", key, work.run(self._ledger, key, call))

    def job(
        self,
        name: str,
        run: Run,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = ".",
        timeout: Duration = jobs.TIMEOUT_S_DEFAULT,
        retries: Retry | None = None,
        pool: str = "default",
        volumes: Sequence[str] = (),
        checkout: bool = True,
        rollback: Rollback | None = None,
        reports: Mapping[str, str | Sequence[str]] | None = None,
        artifacts: Mapping[str, Patterns] | None = None,
        files: Sequence[Artifact] = (),
        caches: Sequence[Cache] = (),
        secrets: Secrets = (),
        environment: str = "",
        network: str = "",
        egress: Sequence[str] = (),
        id_token: str = "",
        memory: Size | None = None,
        disk: Size | None = None,
        image: str = "",
        isolation: str = "",
        services: Mapping[str, Service] | None = None,
        wait_on_failure: Duration = 0,
        debuggers: Sequence[str] = (),
        labels: Sequence[str] = (),
    ) -> Coroutine[Any, Any, JobResult]:
        """Have a Runner execute shell commands; the first that fails ends the job.

        Raises JobFailed. `retries` says whether a failed or lost attempt is tried again.
        `artifacts`: names and the patterns of the files that are kept under them, for the result.
        `files`: artifacts whose files are there before the first command; so are `caches`.
        `rollback(step, result)` is called if the Run fails or is cancelled after it succeeded.
        `reports`: files that the job writes: junit, tap, cobertura, sarif, as `{"junit": "*.xml"}`.
        `secrets`: names, for variables of the same name, or `{"VARIABLE": "NAME"}`; `environment`:
        what the job works on, for secrets that are only for that. The values never come here.
        `network="egress"`: the job reaches what its Runner allows, and only `egress` if given.
        `id_token`: for whom the token in `$STAUNCH_ID_TOKEN` is, which says whose job this is.
        `memory`, `disk`: at most, `"2g"`. `image`: its root. `isolation="sandbox"`: never without.
        `services`: what runs beside it, by the host names under which it reaches them.
        `wait_on_failure`: after a command that failed it waits so long for `staunch shell`, which
        its `debuggers` (names or `@team`) and administrators may use. `labels`: those that a pool
        must have, in place of its name.
        """
        left = (reports, artifacts, files, caches, secrets, environment)
        held = (isolation, services, wait_on_failure, debuggers, labels)
        wishes = (*left, network, egress, id_token, memory, disk, image, *held)
        request = jobs.request(run, env, cwd, timeout, pool, volumes, checkout, *wishes)
        call = jobs.Call(request, checked(retries, of_job=True), _site(2), _rollback(rollback))
        key = self._key("job", name)
        return self._given("job", key, jobs.run(self._ledger, key, call))

    def gate(
        self,
        name: str,
        *,
        approvers: Sequence[str] = (),
        needed: int = 1,
        inputs: Mapping[str, gates.Asked] | None = None,
        timeout: Duration | None = None,
        message: str = "",
        not_author: bool = False,
        on_timeout: OnTimeout = "raise",
    ) -> Coroutine[Any, Any, GateAnswer]:
        """Wait until `needed` of the `approvers` (names or `@team`; none: anybody) approve.

        `inputs` are asked of them: `{"percent": int, "env": ["eu", "us"]}`, or an `Input`.
        `not_author`: not by those who caused this Run. `on_timeout`: "approve" opens it with
        `by=[]` and the inputs' defaults. Raises GateRejected or GateTimedOut.
        """
        limit = optional_seconds(timeout)
        wish = gates.Wish(approvers, needed, inputs, limit, message, not_author, on_timeout)
        terms = wish.terms(self._ledger.causes)
        key = self._key("gate", name)
        return self._given("gate", key, gates.run(self._ledger, key, terms, limit))

    def sleep(self, name: str, duration: Duration) -> Coroutine[Any, Any, None]:
        """Wait so long; hours and weeks cost nothing."""
        options = {"seconds": waits.span(duration)}
        key = self._key("sleep", name)
        return self._given("sleep", key, waits.sleep(self._ledger, key, options))

    def sleep_until(self, name: str, when: datetime | float) -> Coroutine[Any, Any, None]:
        """Wait until a moment: a datetime with a time zone, or seconds since the epoch."""
        options = {"until": waits.moment(when)}
        key = self._key("sleep_until", name)
        return self._given("sleep_until", key, waits.sleep(self._ledger, key, options))

    def wait_for_event(
        self,
        name: str,
        *,
        event: str | Sequence[str] | None = None,
        match: dict[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Wait for a signal called `event` (default: `name`) and give its payload.

        With a list of names: for any of them, and gives `Received(event, payload)`. `match`: only
        one whose payload has these fields, `{"env": "eu", "build.ok": True}`. One that came before
        counts; each is taken once. Raises StepTimedOut.
        """
        wish = waits.wish(name, event, match, optional_seconds(timeout))
        key = self._key("wait_for_event", name)
        # As the History has it: nothing that the plan does to it later is a part of the wait.
        wish = replace(wish, match=self._ledger.plain(key, wish.match))
        return self._given("wait_for_event", key, waits.signal(self._ledger, key, wish))

    def call(
        self, name: str, pipeline: str, inputs: Mapping[str, Any] | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Run another pipeline of this commit, and give what its `run` returns.

        It is a Run of its own; `inputs` is its `event.inputs`, and must be what that pipeline asks
        for, if it does. Raises RunFailed. Cancelling the step cancels the Run.
        """
        asked = calls.request(self._ledger, pipeline, inputs, detached=False)
        key = self._key("call", name)
        return self._given("call", key, calls.run(self._ledger, key, asked))

    def start(
        self, name: str, pipeline: str, inputs: Mapping[str, Any] | None = None
    ) -> Coroutine[Any, Any, str]:
        """Begin another pipeline of this commit and go on; gives the id of its Run.

        Whatever becomes of this Run, that one goes on.
        """
        asked = calls.request(self._ledger, pipeline, inputs, detached=True)
        key = self._key("start", name)
        return self._given("start", key, calls.start(self._ledger, key, asked))

    def continue_as_new(self, inputs: Mapping[str, Any] | None = None) -> NoReturn:
        """End this Run, and have this pipeline begin anew with these inputs: same code, no history.

        For plans that never end. It returns never; what is still going on is cancelled, `finally`
        blocks run. Signals that nobody has taken go along. `inputs` is the next `event.inputs`, and
        must be what the pipeline asks for, if it does. Only in `run()` itself.
        """
        _refuse_in_body("continue_as_new", "…")
        continuing.leave(self._ledger, inputs)

    def first(
        self, /, *steps: Awaitable[Any], **named: Awaitable[Any]
    ) -> Coroutine[Any, Any, First]:
        """Await several; `which, value` of the first that ends, whose error is raised.

        `which` is its index, or its name: `step.first(go=step.gate(…), late=step.sleep(…))`. They
        begin in the order given, which also decides between two that are ready at once. The others
        are cancelled; a signal that a cancelled wait was about to take is there for the next.
        """
        return self._given("first", "", first(checked_racers(steps, named)))

    def parallel(
        self, *steps: Awaitable[Any], fail_fast: bool = True, limit: int | None = None
    ) -> Coroutine[Any, Any, list[Any]]:
        """Await all of these at once; their results in the order given.

        `limit`: at most so many at once, begun in that order. `fail_fast`: the first error cancels
        the others. Without, all end first, and then one error is raised as it is, several as an
        ExceptionGroup.
        """
        checked_steps(steps, limit)
        return self._given("parallel", "", join(steps, fail_fast=fail_fast, limit=limit))

    def set(self, text: str, *, done: float | None = None, total: float | None = None) -> None:
        """Say what the Run is at, for people: in lists and on its page. Not to be awaited.

        The newest counts. It is kept with the Turn and costs nothing of its own.
        """
        _refuse_in_body("set", text)
        self._ledger.say(notes.note(text, done, total))

    @property
    def usage(self) -> Usage:
        """How much of its limits the Run has used, to go on as a new one in time."""
        return self._ledger.usage

    def __getattr__(self, name: str) -> Any:
        """An unknown verb: name the nearest one."""
        near = difflib.get_close_matches(name, (*VERBS, "usage"), 1)
        hint = f"did you mean step.{near[0]}? " if near else ""
        raise AttributeError(f"there is no step.{name}: {hint}there are {', '.join(VERBS)}")

    def _key(self, verb: str, name: str) -> str:
        _refuse_in_body(verb, name)
        return self._ledger.key(self._path + _name(name))

    def _given(self, verb: str, key: str, step: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        self._ledger.given(verb, key, _site(3), step)
        return step


def _refuse_in_body(verb: str, name: str) -> None:
    attempt = CURRENT.get()
    if attempt is not None:
        raise RuntimeError(
            f"step.{verb}({name!r}) was called inside the body of step.do({attempt.key!r});"
            " a body only computes: return a value, and use steps in run() itself"
        )


def _rollback(rollback: Rollback | None) -> Rollback | None:
    if rollback is None or work.is_async_function(rollback):
        return rollback
    raise TypeError(
        f"rollback must be an async function: async def undo(step, result), not {rollback!r}"
    )


def _site(depth: int) -> Site:
    frame = sys._getframe(depth)
    return Site(frame.f_code.co_filename, frame.f_lineno)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a step's name must be a text, not {name!r}")
    if not name.strip() or len(name) > NAME_CHARS_MAX:
        raise ValueError(
            f"a step's name must have 1 to {NAME_CHARS_MAX} characters, not {len(name)}"
        )
    if name.isascii() and name.isprintable() and "/" not in name and "#" not in name:
        return name
    for char in name:
        if char in "/#" or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
            hint = "; for groups of steps use step.scope(name)" if char == "/" else ""
            raise ValueError(f"a step's name cannot hold {char!r}: {name!r}{hint}")
    return name
