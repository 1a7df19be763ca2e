"""What jobs give back, from real steps to the plan, and how it is seen from outside."""

import pytest

from tests.e2e.installed import Installed, Registered

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

BUILD = r"""
built = await step.job("build", run=[
    'echo "version=1.2" >> "$STAUNCH_OUTPUT"',
    '''echo 'shards:=["a", "b"]' >> "$STAUNCH_OUTPUT"''',
])
names = [f"test-{shard}" for shard in built.outputs["shards"]]
await step.parallel(*(
    step.job(name, run='echo "tested $VERSION"', env={"VERSION": built.outputs["version"]})
    for name in names
))
await step.wait_for_event("go")
return built.outputs
"""


def test_a_plan_decides_on_what_a_job_gave_back_also_after_every_process_was_killed(
    here: Installed, repo: Registered
) -> None:
    run = repo.plan(BUILD)
    here.waiting(run, "signal go")
    here.installation.kill()
    here.installation.start()
    here.staunch("signal", run, "go")
    shown = here.ended(run)
    outputs = {"version": "1.2", "shards": ["a", "b"]}
    assert (shown["state"], shown["output"]) == ("succeeded", outputs)
    assert {one["key"] for one in shown["attempts"]} == {"build", "test-a", "test-b"}
    build = next(one for one in shown["steps"] if one["key"] == "build")
    assert build["value"] == {"exit_code": 0, "outputs": outputs}
    assert "tested 1.2" in here.staunch("logs", run, "test-b")


def test_outputs_that_cannot_be_used_fail_the_job_and_say_why(
    here: Installed, repo: Registered
) -> None:
    body = """return await step.job("build", run='ln -s /etc/shadow "$STAUNCH_OUTPUT"')"""
    shown = here.ended(repo.plan(body))
    assert shown["state"] == "failed"
    assert "the job's outputs cannot be used: it cannot be opened" in shown["error"]["message"]


def test_a_summary_and_annotations_are_on_the_page_and_in_the_api(
    here: Installed, repo: Registered
) -> None:
    note = '{"file": "a.py", "line": 3, "message": "odd", "title": "N1"}'
    body = f"""
await step.job("lint", run=[
    'echo "# All *good*" >> "$STAUNCH_SUMMARY"',
    '''echo '{note}' >> "$STAUNCH_ANNOTATIONS"; echo what >> "$STAUNCH_ANNOTATIONS"''',
])
"""
    shown = here.ended(repo.plan(body))
    assert shown["state"] == "succeeded"
    [attempt] = shown["attempts"]
    assert attempt["summary"] == "# All *good*"
    assert [one["title"] for one in attempt["annotations"]] == ["N1"]
    page = here.page(f"/runs/{shown['id']}")
    assert "<h3>All <em>good</em></h3>" in page and "a.py:3" in page
    assert "left out: line 2 of the annotations" in here.staunch("show", shown["id"])


def test_failed_tests_are_on_the_page_and_a_flaky_one_is_found_by_its_commit(
    here: Installed, repo: Registered
) -> None:
    case = '<testcase classname="shop" name="test_pay" time="0.2">'
    broken = f'<testsuite>{case}<failure message="no money"/></testcase></testsuite>'
    good = f"<testsuite>{case}</testcase></testsuite>"
    body = f"""
script = '''mkdir out
if [ "$STAUNCH_ATTEMPT" = 1 ]; then echo '{broken}' > out/a.xml; exit 1; fi
echo '{good}' > out/a.xml'''
await step.job("unit", run=script, reports={{"junit": "out/*.xml"}}, retries=Retry(1, delay=0))
await step.wait_for_event("go")
"""
    run = repo.plan(body)
    here.waiting(run, "signal go")
    tests = here.get(f"/runs/{run}/tests")["tests"]
    assert [(one["attempt"], one["outcome"]) for one in tests] == [(1, "failed"), (2, "passed")]
    assert tests[0]["message"] == "no money"
    assert "1 passed · 0 failed" in here.page(f"/runs/{run}?tab=tests")
    [flaky] = here.get(f"/tests?repo={repo.name}&flaky=true")["tests"]
    assert (flaky["suite"], flaky["name"], flaky["flaky_commits"]) == ("shop", "test_pay", 1)
    here.staunch("signal", run, "go")
    assert here.ended(run)["state"] == "succeeded"
