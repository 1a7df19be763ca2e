"""Kit: PipelineTest, by which authors test a pipeline of their repository."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from staunch.durations import Duration
from staunch.durations import seconds as seconds_of
from staunch.entered import WrongInput

from ci_host.engine.run_inputs import entered
from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import TenantFailed
from ci_host.testkit.errors import BrokenPipeline, KitFailure, NotTriggered, Unused, WrongAnswer
from ci_host.testkit.events import BEGIN, Start, manual, push
from ci_host.testkit.image import RehearsalImage
from ci_host.testkit.outcome import Result, result_of
from ci_host.testkit.script import CallEnd, GateReply, Given, JobEnd, Script, Sent
from ci_host.testkit.sources import bundle_in, repository_of
from ci_host.testkit.story import Story
from ci_host.testkit.world import World
from pipelines.bundle import FOLDER, Bundle, PipelineEntry, Prepared
from pipelines.event import EventKind
from pipelines.events import Input, RunStarted
from pipelines.failure import Failure
from pipelines.job import Outcome, Source
from pipelines.run import RunState
from pipelines.trigger import run_of, wanted

T = TypeVar("T")

# Of a Run in a test; what goes on for longer is taken for endless.
TURNS_MAX = 2_000
REPO, CONNECTION = "test/1", "test"


class PipelineTest:
    """One pipeline, and what happens to it: prepare jobs, gates and so on, then `run` it.

    `strict`: a job, call or gate with a deadline for which nothing is prepared fails the test, and
    so does what is prepared and never asked for. Without, jobs and calls succeed by themselves.
    `hibernate`: after every Turn the plan is also made anew from its history alone, as after a
    restart of the engine, and must decide the same.
    Raises BrokenPipeline where there is no such file.
    """

    __test__ = False  # It is not a test itself, whatever pytest makes of its name.

    def __init__(
        self,
        pipeline: str | Path = f"{FOLDER}/pipeline.py",
        *,
        strict: bool = False,
        hibernate: bool = True,
        repo: str = "acme/shop",
    ) -> None:
        directory, file = repository_of(Path(pipeline))
        try:
            bundle = bundle_in(directory)
        except (OSError, UnicodeDecodeError) as error:
            raise BrokenPipeline(f"{directory}: {error}") from error
        self._set(bundle, file, strict=strict, hibernate=hibernate, repo=repo)

    @classmethod
    def of(
        cls,
        files: Mapping[str, str],
        file: str = f"{FOLDER}/pipeline.py",
        *,
        strict: bool = False,
        hibernate: bool = True,
        repo: str = "acme/shop",
    ) -> "PipelineTest":
        """Of texts in place of files: `{".staunch/pipeline.py": "…"}`."""
        test = cls.__new__(cls)
        test._set(Bundle(files=dict(files)), file, strict=strict, hibernate=hibernate, repo=repo)
        return test

    def _set(self, bundle: Bundle, file: str, *, strict: bool, hibernate: bool, repo: str) -> None:
        self._bundle, self._file = bundle, file
        self._strict, self._hibernate, self._repo = strict, hibernate, repo
        self._script = Script()
        self._host = TenantHost(RehearsalImage(self._script, bundle), Limits(blanks=0, primed=0))
        self._prepared: Prepared | None = None

    def job(
        self,
        name: str,
        *,
        outcome: str = "",
        exit_code: int | None = None,
        message: str = "",
        outputs: Mapping[str, Any] | None = None,
        takes: Duration = 1.0,
    ) -> "PipelineTest":
        """How the next attempt of this job ends; of several calls the last is for all further ones.

        `outcome`: succeeded (the default), failed (the default with an `exit_code` that is not 0),
        timed_out, lost or refused. `outputs`: what it writes to `$STAUNCH_OUTPUT`. `takes`: by the
        Run's clock. Raises WrongAnswer.
        """
        found = outcome or ("failed" if exit_code else "succeeded")
        try:
            how = Outcome(found)
            if how is Outcome.CANCELLED:
                raise WrongAnswer(
                    f"nobody cancels job {name!r} alone: test.cancel(during={name!r}) has somebody"
                    " cancel the run"
                )
        except ValueError:
            raise WrongAnswer(
                f"a job cannot end as {outcome!r}; it can be"
                f" {', '.join(one for one in Outcome if one is not Outcome.CANCELLED)}"
            ) from None
        if how is not Outcome.SUCCEEDED and outputs:
            raise WrongAnswer(f"job {name!r} has {how}: only one that succeeded has outputs")
        if how is Outcome.SUCCEEDED and exit_code:
            raise WrongAnswer(f"job {name!r} cannot succeed with exit code {exit_code}")
        if how in (Outcome.SUCCEEDED, Outcome.FAILED) and exit_code is None:
            exit_code = int(how is Outcome.FAILED)
        end = JobEnd(how, exit_code, message, outputs or {}, seconds_of(takes))
        self._script.jobs.add(name, end)
        return self

    def gate(
        self,
        name: str,
        *,
        approve_by: str | Sequence[str] = (),
        reject_by: str = "",
        times_out: bool = False,
        inputs: Mapping[str, Any] | None = None,
        comment: str = "",
        after: Duration = 1.0,
    ) -> "PipelineTest":
        """Who answers this gate, and what, `after` so long; or nobody: it `times_out`.

        One of the three. Raises WrongAnswer; `run` does where that person may not answer.
        """
        by = (approve_by,) if isinstance(approve_by, str) and approve_by else tuple(approve_by)
        if bool(by) + bool(reject_by) + times_out != 1:
            raise WrongAnswer(
                f"gate {name!r} is one of these: approve_by=…, reject_by=…, times_out=True"
            )
        who = (reject_by,) if reject_by else by
        reply = GateReply(who, not reject_by, inputs or {}, comment, seconds_of(after))
        self._script.gates.add(name, reply)
        return self

    def signal(self, name: str, payload: Any = None, *, after: Duration = 1.0) -> "PipelineTest":
        """A signal of this name, `after` so long since a step waits for one; each is sent once."""
        self._script.signals.append(Sent(name, payload, seconds_of(after)))
        return self

    def call(
        self, name: str, *, returns: Any = None, fails: str = "", takes: Duration = 1.0
    ) -> "PipelineTest":
        """What the pipeline that this `step.call` calls returns, or with what it `fails`."""
        error = Failure(type="RuntimeError", message=fails) if fails else None
        state = RunState.FAILED if fails else RunState.SUCCEEDED
        self._script.calls.add(name, CallEnd(state, returns, error, seconds_of(takes)))
        return self

    def do(
        self, name: str, *, returns: Any = None, raises: BaseException | None = None
    ) -> "PipelineTest":
        """What the function of this `step.do` gives. It is not called itself."""
        self._script.functions.add(name, Given(returns, raises))
        return self

    def fail(self, name: str, message: str = "forced by the test") -> "PipelineTest":
        """This step fails in all further attempts, if it is a do, a job or a call."""
        self._script.functions.add(name, Given(error=RuntimeError(message)))
        self._script.jobs.add(name, JobEnd(Outcome.FAILED, 1, message))
        self.call(name, fails=message)
        self._script.forced.add(name)
        return self

    def cancel(self, during: str, *, by: str = "ada") -> "PipelineTest":
        """Somebody cancels the Run as soon as it waits in this step."""
        self._script.cancels.add(during, by)
        return self

    def runs_on(self, event: Start) -> bool:
        """Whether the pipeline's triggers want this event. `paths` are not looked at: they need
        files that changed. Raises TypeError for what is no event of the kit's."""
        if not isinstance(event, Start):
            raise TypeError(
                f"{event!r} is no event: give one that `staunch.testing` makes, such as push() or"
                " pull_request()"
            )
        return wanted(self._entry().triggers, event.event)

    def run(self, event: Start | None = None, *, inputs: Mapping[str, Any] | None = None) -> Result:
        """Run it from its beginning to its end, by default on a push to main, or, with `inputs`, as
        if somebody had started it. May be called again, also in a test that is async.

        Raises KitFailure: see `ci_host.testkit.errors`. A Run that fails is no error here.
        """
        start = event or (push() if inputs is None else manual())
        return _beside_any_loop(lambda: self._run(start, inputs))

    def _run(self, start: Start, inputs: Mapping[str, Any] | None) -> Result:
        if not self.runs_on(start):
            raise NotTriggered(
                f"{self._file} does not run on a {start.words()}: its triggers are"
                f" {self._entry().triggers}"
            )
        self._script.begin()
        started = self._started(start, inputs)
        at = start.event.schedule.due if start.event.schedule is not None else BEGIN
        story = Story(
            self._host, self._ready(), started, self._script, at, hibernate=self._hibernate
        )
        try:
            self._play(story, World(self._script, started, self._strict))
        finally:
            story.close()
        result = result_of(story, self._bundle, self._script.unused())
        if self._strict and result.unused:
            raise Unused(f"the run never asked for {', '.join(result.unused)}:\n{result}")
        return result

    def _play(self, story: Story, world: World) -> None:
        what: Input = story.started
        at = story.at
        for _ in range(TURNS_MAX):
            turn = story.turn(what, at)
            if turn.end is not None:
                return
            world.look(story.view)
            at, what = world.next(story.view)
        raise KitFailure(
            f"after {TURNS_MAX:,} turns the run is not over; what it does for ever is tested up to"
            " a step.continue_as_new"
        )

    def _started(self, start: Start, inputs: Mapping[str, Any] | None) -> RunStarted:
        entry = self._entry()
        given = inputs if start.event.kind is EventKind.MANUAL else None
        if inputs is not None and given is None:
            raise WrongAnswer(f"a {start.words()} has no inputs: only manual() has")
        if start.event.kind is EventKind.MANUAL:
            given = given or {}
        try:
            complete = entered(entry, given)
        except WrongInput as error:
            raise WrongAnswer(str(error)) from error
        event = msgspec.structs.replace(start.event, delivery="test")
        return RunStarted(
            run=run_of(REPO, event, entry.name),
            repo=REPO,
            repo_name=self._repo,
            connection=CONNECTION,
            pipeline=entry.name,
            file=self._file,
            bundle=self._bundle.digest(),
            source=Source(mirror="/test", commit=event.commit),
            event=event,
            inputs=complete,
        )

    def _entry(self) -> PipelineEntry:
        """What the file declares. Raises BrokenPipeline."""
        for entry in self._ready().pipelines:
            if entry.file == self._file:
                if entry.error is not None:
                    raise BrokenPipeline(_words(entry.error))
                return entry
        raise BrokenPipeline(f"{self._file} has no `async def run(event, step)`")

    def _ready(self) -> Prepared:
        if self._prepared is None:
            try:
                self._prepared = self._host.prepare(self._bundle)
            except TenantFailed as error:
                raise BrokenPipeline(str(error)) from error
        return self._prepared


def _words(failure: Failure) -> str:
    return f"{failure.where()}: {failure.type}: {failure.message}\n{failure.traceback}"


def _beside_any_loop(what: Callable[[], T]) -> T:
    """In this thread, or, where an event loop is at work in it, in one of its own."""
    if asyncio._get_running_loop() is None:
        return what()
    done: list[T] = []
    wrong: list[BaseException] = []

    def call() -> None:
        try:
            done.append(what())
        except BaseException as error:  # noqa: BLE001 - it is raised where it belongs
            wrong.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if wrong:
        raise wrong[0]
    return done[0]
