"""What `staunch plan` finds: the plan's own decisions, with answers that are supposed."""

import pytest
from staunch.supposed import answering, fitting_inputs, is_named
from staunch.testing import manual, push

from ci_host.engine.run_inputs import entered
from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.native import NativeImage
from ci_host.testkit.planned import RUNS_MAX, TURNS_MAX, PlannedRun, Planner
from ci_host.testkit.supposed import Supposition
from ci_host.web.step_graph import followed_by
from pipelines.bundle import Bundle

FILE = ".staunch/pipeline.py"
RUN = "async def run(event, step):\n"
CHAINS = """
import asyncio

async def run(event, step):
    async def chain(name):
        await step.job(f"{name}-one", run="true")
        await step.job(f"{name}-two", run="true")
    await asyncio.gather(chain("a"), chain("b"))
    await step.job("last", run="true")
"""
SHOP = """
from staunch import Retry

async def take_back(step, result):
    await step.job("take-back", run="./take-back.sh")

async def run(event, step):
    built = await step.job("build", run="make", retries=Retry(2), rollback=take_back)
    answer = await step.gate("go", approvers=["@ops", "ada"], needed=2,
        inputs={"percent": int, "why": str}, timeout="7d")
    await step.sleep("soak", "2h")
    said = await step.wait_for_event("signal", event="published")
    sent = await step.call("notes", "notes", {"version": built.outputs.get("version")})
    return [answer.inputs, answer.by, said, sent]
"""
NOTES = """
async def run(event, step):
    await step.job("write", run="./notes.sh")
    return event.inputs["version"]
"""


def plan(source: str, *, notes: str = NOTES, event=None, **how) -> PlannedRun:
    bundle = Bundle(files={FILE: source, ".staunch/notes.py": notes})
    host = TenantHost(NativeImage(), Limits(blanks=0, primed=0))
    prepared = host.prepare(bundle)
    entry = next(one for one in prepared.pipelines if one.file == FILE)
    planner = Planner(host, prepared, "acme/shop", Supposition(**how), at=1_767_614_400.0)
    begun = (event or push()).event
    return planner.run(entry, begun, entered(entry, None) if entry.error is None else None)


def names(run: PlannedRun) -> list[str]:
    return [step.key for step in run.steps]


def states(run: PlannedRun) -> dict[str, str]:
    return {step.key: step.state for step in run.steps}


def test_all_goes_well_to_the_end_gates_are_approved_and_no_time_is_waited():
    run = plan(SHOP)
    assert (run.state, run.stopped) == ("succeeded", "")
    assert names(run) == ["build", "go", "soak", "signal", "notes"]
    assert set(states(run).values()) == {"succeeded"}
    assert run.output == [{"percent": 1, "why": "why"}, ["ada", "somebody"], None, None]


def test_what_is_said_of_a_step_is_what_it_hands_over():
    values = {"build": {"version": "1.2"}, "go": {"percent": 50}, "sign*": {"p99": 12}}
    run = plan(SHOP, values=values)
    assert run.output == [{"percent": 50, "why": "why"}, ["ada", "somebody"], {"p99": 12}, "1.2"]


def test_a_called_pipeline_is_planned_too_with_what_it_is_given():
    child = plan(SHOP, values={"build": {"version": "1.2"}}).steps[-1].child
    assert child is not None
    assert (names(child), child.output, child.entry.name) == (["write"], "1.2", "notes")


def test_a_step_that_fails_shows_the_other_branch_with_its_retries_and_rollbacks():
    assert [step.attempts for step in plan(SHOP, fails=("build",)).steps] == [3]
    run = plan(SHOP, fails=("no*",))
    assert run.state == "failed"
    assert states(run)["notes"] == "failed"
    assert names(run)[-2:] == ["build/rollback", "build/rollback/take-back"]


def test_a_gate_that_fails_is_rejected_and_a_wait_that_fails_goes_unanswered():
    run = plan(SHOP, fails=("go",))
    assert (run.state, states(run)["go"]) == ("failed", "failed")
    assert run.failure is not None
    assert run.failure.type == "GateRejected"
    waiting = plan(SHOP, fails=("signal",))
    assert waiting.state == "open"
    assert "signal waits for ever" in waiting.stopped


def test_a_job_that_fails_in_a_child_fails_whoever_called_it():
    run = plan(SHOP, fails=("write",))
    assert states(run)["notes"] == "failed"


def test_branches_do_not_follow_each_other_though_their_jobs_take_equally_long():
    found = followed_by(plan(CHAINS).steps)
    assert found["a-two"] == ["a-one"]
    assert found["b-two"] == ["b-one"]
    assert sorted(found["last"]) == ["a-two", "b-two"]


def test_a_gate_of_which_nothing_can_be_supposed_says_what_to_say():
    source = (
        "from staunch import Input\n" + RUN + "    await step.gate('go', inputs="
        "{'ticket': Input(str, pattern='[A-Z]+-[0-9]+')})\n"
    )
    run = plan(source)
    assert run.state == "open"
    assert "--suppose go.NAME=VALUE" in run.stopped
    assert plan(source, values={"go": {"ticket": "OPS-1"}}).state == "succeeded"


def test_a_signal_that_must_have_fields_has_them_where_they_are_looked_for():
    wait = "await step.wait_for_event('done', match={'env': 'eu', 'build.ok': True})"
    run = plan(RUN + f"    said = {wait}\n    return said['build']['ok'], said['env']\n")
    assert run.output == [True, "eu"]


def test_a_pipeline_that_never_ends_is_shown_as_far_as_it_was_played():
    run = plan(RUN + "    while True:\n        await step.sleep('again', '1h')\n")
    assert run.state == "open"
    assert f"{TURNS_MAX:,} turns" in run.stopped
    assert len(run.steps) == TURNS_MAX


def test_calls_that_never_end_are_followed_only_so_far():
    source = RUN + "    await step.parallel(*[step.call(f'c{n}', 'notes', {'version': 1})"
    source += f" for n in range({RUNS_MAX + 5})])\n"
    run = plan(source)
    assert run.state == "succeeded"
    assert len([step for step in run.steps if step.child is not None]) == RUNS_MAX - 1


def test_a_pipeline_that_nobody_awaits_is_planned_too():
    run = plan(RUN + "    await step.start('notes', 'notes', {'version': '2'})\n")
    assert run.steps[0].child is not None
    assert run.steps[0].child.output == "2"


def test_a_file_that_cannot_be_loaded_and_a_plan_that_raises_say_where():
    broken = plan("import nothing_like_this\n" + RUN + "    pass\n")
    assert broken.state == "failed"
    assert broken.failure is not None
    assert "nothing_like_this" in broken.failure.message
    raising = plan(RUN + "    await step.job('a', run='true')\n    {}['image']\n", event=manual())
    assert raising.failure is not None
    assert (raising.failure.file, raising.failure.line) == (FILE, 3)


@pytest.mark.parametrize(
    ("approvers", "barred", "count", "who"),
    [
        ([], [], 1, ["somebody"]),
        (["@ops"], ["somebody"], 2, ["somebody-2", "somebody-3"]),
        (["ada", "grace"], ["Ada"], 1, ["grace"]),
        (["ada"], [], 2, []),
    ],
)
def test_those_answer_a_gate_who_may(approvers, barred, count, who):
    assert answering(approvers, barred, count) == who


def test_inputs_that_must_be_entered_have_something_that_fits():
    rules = {
        "percent": {"min": 5, "max": 50},
        "share": {"max": 0.5},
        "where": {"choices": ["eu", "us"]},
        "note": {"required": False, "default": "none"},
        "code": {"max_length": 2},
    }
    kinds = {"percent": "int", "share": "float", "where": "str", "note": "str", "code": "str"}
    assert fitting_inputs({**kinds, "sure": "bool"}, rules, {"where": "us"}) == {
        "percent": 5, "share": 0.0, "where": "us", "code": "co", "sure": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "name", "is_it"),
    [
        ("unit", "unit", True),
        ("poll#12", "poll", True),
        ("eu/deploy", "eu", True),
        ("eu#2/deploy", "eu", True),
        ("eu/deploy#2", "eu/deploy", True),
        ("test a=1", "test *", True),
        ("unit-2", "unit", False),
        ("deploy", "eu/deploy", False),
    ],
)
def test_a_name_is_that_of_a_step_its_rounds_and_what_is_in_its_scope(key, name, is_it):
    assert is_named(key, [name]) is is_it
