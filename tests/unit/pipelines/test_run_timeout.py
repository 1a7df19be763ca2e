"""run_timeout(…): a Run that takes too long is cancelled, cleans up and fails."""

import pytest

from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from ci_host.tenant.sandbox import TimedInput, TurnInputs
from pipelines.bundle import Bundle
from pipelines.job import Outcome
from tests.tenants import BEGIN, FILE, RUN, cancel, plan, started

TOP = """
run_timeout("2h")

async def undo(step, result):
    print("undone")
"""


def test_a_run_that_takes_too_long_is_cancelled_and_names_the_line_that_said_so(play):
    run = play("await step.job('slow', run='x')", TOP)
    assert run.start().wake_at == BEGIN + 7200
    end = run.wake()
    error = end.end.error
    assert (str(end.end.state), error.type) == ("failed", "RunTimedOut")
    assert error.message == "the run was not done within 7200 s, its run_timeout"
    assert "run_timeout(" in run.source.splitlines()[error.line - 1]
    assert "step.job('slow'" in error.traceback
    assert [(job.key, job.cancelling) for job in end.open.jobs] == [("slow", True)]


def test_its_cleanup_and_its_rollbacks_run_first(play):
    run = play(
        """
        await step.do("a", int, rollback=undo)
        try:
            await step.sleep("long", "3h")
        finally:
            await step.job("clean", run="x")
        """,
        TOP,
    )
    run.start()
    cleaning = run.wake()
    assert ([c.key for c in cleaning.commands], cleaning.end) == (["clean"], None)
    assert cleaning.wake_at is None
    end = run.job("clean")
    assert end.printed == "undone\n"
    assert end.end.error.type == "RunTimedOut"


def test_a_run_in_time_hears_nothing_of_it(play):
    run = play("await step.job('quick', run='x')\nreturn 1", TOP)
    run.start()
    end = run.job("quick", after=7199.0)
    assert (end.end.output, end.wake_at) == (1, None)


def test_a_report_at_the_last_moment_is_late(play):
    run = play("await step.job('quick', run='x')\nreturn 1", TOP)
    run.start()
    assert run.job("quick", after=7200.0).end.error.type == "RunTimedOut"


def test_rollbacks_may_take_longer_than_the_run(play):
    top = (
        TOP
        + """
async def slow(step, result):
    await step.sleep("slow", "5h")
"""
    )
    run = play("await step.do('a', int, rollback=slow)\nraise ValueError('own')", top)
    assert run.start().wake_at == BEGIN + 5 * 3600
    assert run.wake().end.error.message == "own"


@pytest.mark.parametrize("instead", ["return 1", "raise KeyError('instead')"])
def test_late_is_late_whatever_the_plan_makes_of_it(play, instead):
    body = """
    try:
        await step.sleep("long", "3h")
    except asyncio.CancelledError:
        {}
    """
    run = play(body.format(instead), TOP)
    run.start()
    error = run.wake().end.error
    assert error.type == "RunTimedOut"
    assert ("KeyError" in error.traceback) == ("KeyError" in instead)


def test_who_cancels_first_says_how_it_ends(play):
    body = """
    try:
        await step.sleep("long", "3h")
    finally:
        await step.job("clean", run="x")
    """
    cancelled = play(body, TOP)
    cancelled.start()
    cancelled.turn(cancel())
    assert cancelled.wake().end is None
    assert str(cancelled.job("clean").end.state) == "cancelled"

    late = play(body, TOP)
    late.start()
    late.wake()
    end = late.turn(cancel())
    assert (str(end.end.state), end.end.error.type) == ("failed", "RunTimedOut")


def test_a_replay_is_late_at_the_same_moment(play):
    run = play("await step.job('slow', run='x', retries=Retry(5, delay='1h', jitter=False))", TOP)
    run.start()
    run.job("slow", Outcome.LOST)
    run.wake()
    run.job("slow", Outcome.LOST, attempt=2)
    end = run.wake()
    assert end.end.error.type == "RunTimedOut"
    assert [o.digest for o in run.replayed()] == [o.digest for _, o in run.made]


@pytest.mark.parametrize(
    ("top", "says"),
    [
        ("run_timeout('soon')", "run_timeout 'soon' is no duration"),
        ("run_timeout(0)", "run_timeout must be more than nothing"),
        ("run_timeout(1)\nrun_timeout(2)", "run_timeout was said before in this file"),
        ("def f():\n    run_timeout(1)\nf()", "belongs at the top of the pipeline's file"),
    ],
)
def test_a_wrong_declaration_is_an_error_of_the_file(top, says):
    prepared = TenantHost(NativeImage()).prepare(Bundle(files={FILE: plan("return 1", top)}))
    (entry,) = prepared.pipelines
    assert entry.error is not None
    assert says in entry.error.message
    assert entry.error.file == FILE


def test_it_belongs_to_the_file_that_says_it_and_not_to_those_that_import_it():
    host = TenantHost(NativeImage())
    files = {
        FILE: "import shared\n" + plan("await step.wait_for_event('x')"),
        ".staunch/shared.py": "import staunch\nstaunch.run_timeout(1)\n",
    }
    prepared = host.prepare(Bundle(files=files))
    tenant = host.load(prepared, FILE, run=RUN, seed="s", at=BEGIN)
    (outcome,) = tenant.advance([TurnInputs([TimedInput(1, BEGIN, started())])])
    tenant.close()
    assert (outcome.end, outcome.wake_at) == (None, None)
