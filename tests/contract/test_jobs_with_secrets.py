"""What a job with secrets has, shows and leaves, in every executor, with a real shim."""

import base64
import contextlib
import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from pipelines.job import Outcome
from runners import job_directory
from runners.attempt import Attempt
from runners.memory import MemoryLink
from tests.executor_bench import cancel, log_of
from tests.runner_world import make_spec, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = "s3cr3t-canary-0123456789"
SECRETS = {"KEY": KEY}
CODED = (KEY, KEY.encode().hex(), base64.b64encode(KEY.encode()).decode())


def asking(*runs, **more):
    return make_spec(None, *runs, secrets={"KEY": "DEPLOY_KEY"}, **more)


async def reported(directory):
    """The report of an agent that did not start the job and does not know its secrets."""
    link = MemoryLink()
    kept = Attempt(directory, queue=link, sink=link, index=link, runner="here", now=lambda: 1e6)
    await kept.run()
    return link.reports[-1]


def holders(folder: Path) -> list[str]:
    """The files under `folder` that hold the secret in any form."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and any(form.encode() in path.read_bytes() for form in CODED):
                found.append(str(path))
    return found


PRINTING = """\
echo "plain $KEY"
printf %s "$KEY" | base64
printf %s "$KEY" | od -An -v -tx1 | tr -d ' \\n'
for part in s3cr3t-can ary-012345 6789; do printf $part; sleep 0.2; done
echo !
"""


async def test_the_log_has_a_mask_in_place_of_the_value_however_it_is_written(bench):
    record, log = await bench.run(asking(PRINTING), secrets=SECRETS)
    assert record["outcome"] == "succeeded"
    assert "plain ***\n***\n******!\n" in log, "the last one in pieces, long after one another"
    assert not [form for form in CODED if form in log]


async def test_the_value_is_what_was_set_byte_by_byte(bench):
    value = "-----BEGIN KEY-----\nMIIabcdef0123 $(id) 'x' \"y\"\n-----END KEY-----\n"
    script = 'printf "%s" "$KEY" | sha256sum | cut -c1-16'
    _, log = await bench.run(asking(script), secrets={"KEY": value})
    assert f"\n{hashlib.sha256(value.encode()).hexdigest()[:16]}\n" in log


async def test_nothing_on_disk_and_no_process_but_the_jobs_own_shows_the_value(bench):
    directory = await bench.start(
        asking('printf "%s\\n" "$KEY"; echo go; sleep 30', timeout_s=60), secrets=SECRETS
    )
    await until(lambda: "go\n" in log_of(directory), "the step")
    shim = job_directory.read_record(str(directory), job_directory.SHIM)["pid"]
    shown = {pid: _shown(pid) for pid in (os.getpid(), shim, *_bubblewraps(shim))}
    assert not [pid for pid, text in shown.items() if KEY.encode() in text]
    assert holders(directory) == []

    def sleepers():
        return [pid for pid in _below(shim) if b"sleep\x0030" in _shown(pid)]

    (sleeper, *_) = await until(sleepers, "the sleeper")
    assert KEY.encode() in _shown(sleeper), "the search can find it"
    cancel(directory)
    await bench.end(directory)
    assert holders(directory) == []


async def test_what_is_held_back_when_a_job_is_cancelled_is_no_part_of_a_secret(bench):
    directory = await bench.start(
        asking('printf "be""gun %s" "${KEY%%6789}"; sleep 60'), secrets=SECRETS
    )
    await until(lambda: "begun " in log_of(directory), "the step")
    cancel(directory)
    assert (await bench.end(directory))["outcome"] == "cancelled"
    assert KEY[:8] not in log_of(directory)
    assert "***" in log_of(directory)


HANDING = """\
echo "deployed with $KEY" > "$STAUNCH_SUMMARY"
printf '{"file":"a.py","message":"%s is wrong"}\\n' "$KEY" > "$STAUNCH_ANNOTATIONS"
cat > report.xml <<END
<testsuite><testcase classname="a" name="login"><failure message="denied for $KEY"/></testcase>
</testsuite>
END
echo "not ok 1 - login as $KEY" > report.tap
cat > coverage.xml <<END
<coverage><class filename="src/$KEY.py"><line number="1" hits="1"/></class></coverage>
END
cat > report.sarif <<END
{"version":"2.1.0","runs":[{"results":[{"ruleId":"$KEY","message":{"text":"$KEY is in it"},
"locations":[{"physicalLocation":{"artifactLocation":{"uri":"$KEY.py"}}}]}]}]}
END
"""


async def test_what_is_handed_over_is_masked_also_for_an_agent_that_does_not_know_it(bench):
    kinds = {"junit": ["report.xml"], "tap": ["*.tap"], "cobertura": ["coverage.xml"]}
    spec = asking(HANDING, reports={**kinds, "sarif": ["*.sarif"]})
    report = await reported(await bench.start(spec, secrets=SECRETS))
    assert report.outcome is Outcome.SUCCEEDED, report.message
    assert report.summary == "deployed with ***"
    assert report.annotations[0].message == "*** is wrong"
    assert report.tests.failed == 2
    assert "denied for ***" in report.tests.tests[0].message
    assert report.tests.tests[1].name == "login as ***"
    assert report.coverage.files[0].file == "src/***.py"
    finding = report.annotations[1]
    assert (finding.file, finding.title, finding.message) == ("***.py", "***", "*** is in it")
    assert KEY.encode() not in msgspec.json.encode(report)


async def test_outputs_are_given_back_but_one_that_holds_a_secret_fails_the_job(bench):
    fine = asking('echo version=1.2 >> "$STAUNCH_OUTPUT"', key="fine")
    assert (await reported(await bench.start(fine, secrets=SECRETS))).outputs == {"version": "1.2"}
    wrong = asking('echo "token=$KEY" >> "$STAUNCH_OUTPUT"', key="wrong")
    report = await reported(await bench.start(wrong, secrets=SECRETS))
    assert report.outcome is Outcome.FAILED
    assert "'token' holds a secret" in report.message
    assert KEY.encode() not in msgspec.json.encode(report)


async def test_the_checkout_has_no_secrets(bench):
    spec = make_spec(bench.source, "echo ${KEY:+there}", secrets={"KEY": "DEPLOY_KEY"})
    directory = await bench.start(spec, secrets=SECRETS)
    await bench.end(directory)
    assert "\nunset KEY\n" in "\n" + (directory / "run/0/enter").read_text()
    assert "\nthere\n" in log_of(directory)


def _shown(pid: int) -> bytes:
    text = b""
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):
            text += Path(f"/proc/{pid}/{name}").read_bytes()
    return text


def _below(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *_below(int(child))]
    return found


def _bubblewraps(shim: int) -> list[int]:
    return [pid for pid in _below(shim) if b"bwrap" in _shown(pid).partition(b"\0")[0]]
