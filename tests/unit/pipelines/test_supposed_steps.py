"""A Run of which only some Steps are done: the others are settled at once, and never for more."""

import pytest
from msgspec import structs

from pipelines.commands import StepKind
from pipelines.history import HistoryView
from pipelines.plausible import implausible
from pipelines.supposed import Supposed
from tests.tenants import BEGIN, started

SHOP = """
built = await step.job('build', run='make', artifacts={'dist': 'dist'})
label = await step.do('label', lambda: 'v' + built.outputs.get('version', '?'))
answer = await step.gate('go', approvers=['@ops', 'ada'], needed=2, inputs={'percent': int})
await step.sleep('soak', '2h')
said = await step.wait_for_event('ready', match={'build.ok': True})
which = await step.wait_for_event('either', event=['one', 'two'])
note = await step.call('notes', 'pipeline')
await step.job('deploy', run='./deploy.sh', env={'TO': label})
return [label, answer.by, answer.inputs, said, which.event, note]
"""


def begin(play, body, *only, **values):
    run = play(body)
    first = structs.replace(started(), supposed=Supposed(only=list(only), values=values))
    return run, run.turn(first, after=0.0)


def test_only_what_is_named_is_asked_for_and_the_rest_has_succeeded(play):
    run, first = begin(play, SHOP, "deploy", build={"version": "1.2"}, go={"percent": 50})
    asked = [command for command in first.commands if command.request is not None]
    assert [command.key for command in asked] == ["deploy"]
    assert asked[0].request.env == {"TO": "v1.2"}
    assert [job.key for job in first.open.jobs] == ["deploy"]
    assert (first.open.gates, first.open.waits, first.open.calls) == ([], [], [])
    assert first.wake_at is None
    of = {result.key: result.recalled_from for result in first.results}
    assert of.pop("label") == "", "what is computed is computed"
    assert set(of) == {"build", "go", "soak", "ready", "either", "notes"}
    assert set(of.values()) == {"supposed"}
    end = run.job("deploy")
    assert end.end.output == [
        "v1.2", ["ada", "somebody"], {"percent": 50}, {"build": {"ok": True}}, "one", None,
    ]  # fmt: skip
    assert run.replayed()[-1].digest == end.digest


def test_an_engine_takes_what_such_a_plan_decides_for_possible(play):
    _, first = begin(play, SHOP, "deploy")
    assert implausible(HistoryView(), first, [BEGIN]) is None


@pytest.mark.parametrize("name", ["go", "g*"])
def test_a_gate_a_sleep_and_a_call_that_are_named_are_real(play, name):
    _, first = begin(play, SHOP, name)
    assert [gate.key for gate in first.open.gates] == ["go"]
    _, asleep = begin(play, SHOP, "soak")
    assert asleep.wake_at is not None
    _, called = begin(play, SHOP, "notes")
    assert [call.key for call in called.open.calls] == ["notes"]
    assert [c.call is not None for c in called.commands if c.kind is StepKind.CALL] == [True]


def test_a_job_that_begins_with_files_that_nobody_kept_says_which_job_to_name(play):
    body = """
    built = await step.job('build', run='make', artifacts={'dist': 'dist'})
    await step.job('test', run='ls', files=[built.artifacts['dist']])
    """
    _, first = begin(play, body, "test")
    assert first.end is not None
    assert "artifact 'dist', whose job was not run but only supposed" in first.end.error.message
    assert first.open.jobs == []
    _, both = begin(play, body, "test", "build")
    assert [job.key for job in both.open.jobs] == ["build"]


def test_a_gate_whose_answer_cannot_be_supposed_says_what_to_say(play):
    body = "await step.gate('go', inputs={'id': Input(str, pattern='[A-Z]+')})"
    run = play(body, "from staunch import Input")
    first = structs.replace(started(), supposed=Supposed(only=["other"]))
    end = run.turn(first, after=0.0).end
    assert "--suppose go.NAME=VALUE" in end.error.message


def test_what_undoes_a_step_that_was_done_is_done_as_well(play):
    top = "async def undo(step, _):\n    await step.job('undo', run='./undo.sh')"
    body = "await step.job('deploy', run='true', rollback=undo)\nraise ValueError('late')"
    run = play(body, top)
    run.turn(structs.replace(started(), supposed=Supposed(only=["deploy"])), after=0.0)
    assert [job.key for job in run.job("deploy").open.jobs] == ["deploy/rollback/undo"]
