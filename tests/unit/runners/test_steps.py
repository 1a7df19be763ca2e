import pytest

from pipelines.job import STEPS_PER_JOB_MAX, ShellStep, Source
from runners import steps
from runners.ports import Refused
from tests.runner_world import make_spec

COMMIT = Source(mirror="/m.git", commit="0" * 40)


def test_the_context_cannot_replace_what_identifies_the_job():
    spec = make_spec(None, "true", context={"STAUNCH_RUN": "forged", "STAUNCH_REF": "main"})
    env = steps.environment_of(spec)
    assert env["STAUNCH_RUN"] == spec.run
    assert env["STAUNCH_REF"] == "main"
    assert env["CI"] == env["STAUNCH"] == "true"


def test_two_hundred_steps_are_run_and_one_more_is_refused():
    steps.check(make_spec(None, *["true"] * STEPS_PER_JOB_MAX))
    with pytest.raises(Refused, match="201 steps, at most 200"):
        steps.check(make_spec(None, *["true"] * (STEPS_PER_JOB_MAX + 1)))


@pytest.mark.parametrize("commit", ["main", "--upload-pack=x", "0" * 39, "0" * 40 + "\n", "G" * 40])
def test_only_a_full_commit_id_is_checked_out(commit):
    with pytest.raises(Refused, match="no full commit id"):
        steps.check(make_spec(Source(mirror="/m.git", commit=commit), "true"))
    steps.check(make_spec(COMMIT, "true"))


def test_checkout_comes_first_and_only_where_it_is_wanted():
    names = [step.name for step in steps.launch_steps(make_spec(COMMIT, "true"))]
    assert names == ["checkout", "true"]
    assert [s.name for s in steps.launch_steps(make_spec(None, "true"))] == ["true"]


def test_a_step_is_named_by_one_short_line():
    assert steps.name_of(ShellStep(run="\n\nmake\nmake test\n")) == "make"
    assert steps.name_of(ShellStep(run="x", name="unit\ntests")) == "unit"
    assert len(steps.name_of(ShellStep(run="x" * 1000))) == steps.NAME_CHARS_MAX
    assert steps.name_of(ShellStep(run="")) == "step"
