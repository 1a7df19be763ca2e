"""What a job hands over, from real steps in every executor to the report of its Attempt."""

import os

import msgspec
import pytest

from pipelines.job import Annotation, Outcome, ShellStep
from runners import job_directory
from runners.attempt import Attempt
from runners.memory import MemoryLink
from runners.outputs import OUTPUTS_BYTES_MAX
from tests.runner_world import make_spec

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NOW = 1_000_000.0


async def kept(directory, link):
    """The report that an agent makes of this job directory."""
    attempt = Attempt(directory, queue=link, sink=link, index=link, runner="here", now=lambda: NOW)
    await attempt.run()
    return link.reports[-1]


async def check(bench, *runs, **more):
    return await kept(await bench.start(make_spec(None, *runs, **more)), MemoryLink())


async def test_all_steps_of_a_job_write_outputs_and_the_report_has_them_typed(bench):
    report = await check(
        bench,
        'echo "version=1.2 $(echo x)" >> "$STAUNCH_OUTPUT"',
        """printf 'count:=3\\nshards:=["a", {"b": 0.5}]' >> "$STAUNCH_OUTPUT" """,
    )
    assert report.outcome is Outcome.SUCCEEDED
    assert report.outputs == {"version": "1.2 x", "count": 3, "shards": ["a", {"b": 0.5}]}


async def test_the_log_is_never_read_for_outputs(bench):
    step = ShellStep(run="echo a=1; echo '::set-output name=a::1'; cat handed 2>/dev/null || true")
    report = await check(bench, steps=[step])
    assert report.outcome is Outcome.SUCCEEDED
    assert report.outputs is msgspec.UNSET
    assert b"outputs" not in msgspec.json.encode(report)


async def test_a_job_that_failed_has_no_outputs(bench):
    report = await check(bench, 'echo a=1 >> "$STAUNCH_OUTPUT"', "exit 3")
    assert (report.outcome, report.exit_code) == (Outcome.FAILED, 3)
    assert report.outputs is msgspec.UNSET


async def test_outputs_that_cannot_be_read_fail_the_job_with_that_reason(bench):
    report = await check(bench, 'echo "total:=many" >> "$STAUNCH_OUTPUT"')
    assert (report.outcome, report.exit_code) == (Outcome.FAILED, 0)
    assert "the job's outputs cannot be used: the value of line 1 is no JSON" in report.message


@pytest.mark.parametrize("more", [0, 1])
async def test_outputs_may_be_as_large_as_the_limit_and_no_larger(bench, more):
    size = OUTPUTS_BYTES_MAX - len("a=") + more
    report = await check(
        bench, f'(printf a=; head -c {size} /dev/zero | tr "\\0" x) > "$STAUNCH_OUTPUT"'
    )
    if more:
        assert report.outcome is Outcome.FAILED
        assert "it has 65,537 bytes; 65,536 are allowed" in report.message
    else:
        assert len(report.outputs["a"]) == size


HOSTILE = {
    "link to a file": 'ln -s /etc/passwd "$STAUNCH_OUTPUT"',
    "link to the job's own records": 'ln -s ../spec.json "$STAUNCH_OUTPUT"',
    "pipe": 'mkfifo "$STAUNCH_OUTPUT"',
    "folder": 'mkdir "$STAUNCH_OUTPUT"',
    "device": 'ln -s /dev/zero "$STAUNCH_OUTPUT"',
    "hard link": 'echo a=1 > "$STAUNCH_OUTPUT.x"; ln "$STAUNCH_OUTPUT.x" "$STAUNCH_OUTPUT"',
    "socket": "python3 -c 'import os, socket;"
    ' socket.socket(socket.AF_UNIX).bind(os.environ["STAUNCH_OUTPUT"])\'',
    "file of a terabyte": 'truncate -s 1T "$STAUNCH_OUTPUT"',
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_is_no_plain_small_file_is_not_followed_and_fails_the_job(bench, what):
    report = await check(bench, HOSTILE[what])
    assert report.outcome is Outcome.FAILED
    assert "the job's outputs cannot be used: it " in report.message
    assert report.outputs is msgspec.UNSET


NOTE = '{"file": "a.py", "line": 3, "message": "odd"}'


async def test_a_summary_and_annotations_are_in_the_report_however_the_job_ended(bench):
    for last, outcome in (("true", Outcome.SUCCEEDED), ("exit 1", Outcome.FAILED)):
        spec = make_spec(
            None,
            'echo "# Done" >> "$STAUNCH_SUMMARY"',
            f"""echo '{NOTE}' >> "$STAUNCH_ANNOTATIONS"; echo what >> "$STAUNCH_ANNOTATIONS" """,
            last,
            key=str(outcome),
        )
        report = await kept(await bench.start(spec), MemoryLink())
        assert (report.outcome, report.summary) == (outcome, "# Done")
        note = Annotation(file="a.py", line=3, message="odd", level="warning")
        assert report.annotations == [note]
        [left_out] = report.left_out
        assert left_out.startswith("line 2 of the annotations: ")


async def test_what_a_job_says_of_a_place_comes_before_what_its_log_says_and_once(bench):
    step = ShellStep(
        run=f"""echo '{NOTE}' >> "$STAUNCH_ANNOTATIONS"; touch a.py; echo a.py:3: bad thing"""
        "; echo a.py:4: worse thing; exit 1"
    )
    report = await check(bench, steps=[step])
    assert [(one.line, one.message) for one in report.annotations] == [
        (3, "odd"),
        (4, "worse thing"),
    ]


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_summary_that_is_no_plain_small_file_is_left_out_and_fails_nothing(bench, what):
    for variable, name in (("SUMMARY", "the summary"), ("ANNOTATIONS", "the annotations")):
        script = HOSTILE[what].replace("STAUNCH_OUTPUT", f"STAUNCH_{variable}")
        report = await kept(await bench.start(make_spec(None, script, key=variable)), MemoryLink())
        assert report.outcome is Outcome.SUCCEEDED
        assert (report.summary, report.annotations) == (msgspec.UNSET, [])
        [left_out] = report.left_out
        assert left_out.startswith(f"{name}: it ")


async def test_an_agent_that_dies_before_its_report_is_followed_by_one_that_reports_the_same(bench):
    class Killed(BaseException):
        pass

    class Dying(MemoryLink):
        async def finish(self, report, run):
            self.reports.append(report)
            raise Killed

    directory = await bench.start(make_spec(None, 'echo "a:=[1]" >> "$STAUNCH_OUTPUT"'))
    dying = Dying()
    with pytest.raises((Killed, BaseExceptionGroup)):
        await kept(directory, dying)
    report = await kept(directory, MemoryLink())
    assert report.outputs == {"a": [1]} == dying.reports[-1].outputs


async def test_a_job_laid_out_by_a_release_without_the_folder_is_reported(bench):
    directory = await bench.start(make_spec(None, "true"))
    await bench.end(directory)
    os.rename(directory / job_directory.HANDED, directory / "gone")
    assert (await kept(directory, MemoryLink())).outcome is Outcome.SUCCEEDED


async def test_the_driver_of_a_step_gets_no_other_place_of_the_host_to_write_to(sandbox):
    report = await check(
        sandbox,
        'd=$(dirname "$STAUNCH_OUTPUT"); touch "$d/../x" 2>/dev/null && exit 9; ls "$d/.." | sort'
        ' | tr "\\n" " " > seen; test "$(cat seen)" = "handed staunch "',
    )
    assert report.outcome is Outcome.SUCCEEDED, report.message


JUNIT = (
    '<testsuite><testcase classname="a" name="good" time="0.5"/>'
    '<testcase classname="a" name="bad"><failure message="no"/></testcase></testsuite>'
)


async def test_the_tests_of_a_job_that_failed_are_in_its_report(bench):
    report = await check(
        bench,
        f"mkdir build; echo '{JUNIT}' > build/a.xml; ln -s /etc/passwd build/b.xml; exit 1",
        reports={"junit": ["build/*.xml"]},
    )
    assert report.outcome is Outcome.FAILED
    assert (report.tests.passed, report.tests.failed) == (1, 1)
    assert [(one.name, one.outcome, one.message) for one in report.tests.tests] == [
        ("good", "passed", ""),
        ("bad", "failed", "no"),
    ]
    [left_out] = report.left_out
    assert left_out.startswith("the report 'build/b.xml': it cannot be opened")


SARIF = (
    '{"version":"2.1.0","runs":[{"results":[{"ruleId":"E1","message":{"text":"wrong"},"locations":'
    '[{"physicalLocation":{"artifactLocation":{"uri":"a.py"},"region":{"startLine":3}}}]}]}]}'
)
COVERAGE = "<coverage><class filename='a.py'><line number='1' hits='1'/></class></coverage>"


async def test_reports_of_other_kinds_are_in_it_too(bench):
    report = await check(
        bench,
        f"echo '{SARIF}' > a.sarif; printf 'ok 1 - fine\\n1..1\\n' > a.tap\n"
        f'echo "{COVERAGE}" > c.xml',
        reports={"sarif": ["*.sarif"], "tap": ["*.tap"], "cobertura": ["c.xml"]},
    )
    assert report.outcome is Outcome.SUCCEEDED, report.message
    assert [(one.file, one.line, one.title, one.level) for one in report.annotations] == [
        ("a.py", 3, "E1", "warning")
    ]
    assert [(one.name, one.outcome) for one in report.tests.tests] == [("fine", "passed")]
    assert (report.coverage.covered, report.coverage.lines) == (1, 1)
    assert report.left_out is msgspec.UNSET


async def test_a_job_that_asks_for_no_reports_has_no_tests(bench):
    report = await check(bench, f"echo '{JUNIT}' > a.xml")
    assert report.tests is msgspec.UNSET
    assert report.coverage is msgspec.UNSET
