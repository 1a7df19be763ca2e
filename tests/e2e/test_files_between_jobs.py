"""Files from one job to the next of a run, on a real installation."""

import tarfile
from pathlib import Path

import pytest

from tests.e2e.installed import Installed, Registered

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

PLAN = r"""
built = await step.job("build", run="mkdir dist; echo one > dist/a", artifacts={"dist": "dist"})
await step.wait_for_event("go")
await step.job("test", run="cat in/dist/a", files=[built.artifacts["dist"].into("in")])
return built.artifacts["dist"].size
"""


def test_files_of_a_job_are_there_for_another_also_after_every_process_was_killed(
    here: Installed, repo: Registered
) -> None:
    run = repo.plan(PLAN)
    here.waiting(run, "signal go")
    here.installation.kill()
    here.installation.start()
    here.staunch("signal", run, "go")
    shown = here.ended(run)
    assert (shown["state"], shown["output"]) == ("succeeded", 4), shown["error"]
    assert "\none\n" in here.staunch("logs", run, "test")


def test_the_log_of_a_job_that_is_over_is_read_in_parts_by_number_and_whole(
    here: Installed, repo: Registered
) -> None:
    run = here.ended(repo.plan('await step.job("much", run="seq 300000")'))["id"]
    [job] = [one["job"] for one in here.show(run)["attempts"]]
    lines = here.get(f"/jobs/{job}/log/lines?first=250005&count=2")["lines"]
    assert lines == ["250001", "250002"]
    text = here.staunch("logs", run, "much")
    assert text.count("\n") >= 300_002
    assert "\n299999\n300000\n" in text
    assert "300000" in here.page(f"/runs/{run}?job=much")
    link = f"{here.installation.url}/runs/{run}?job=much"
    printed = here.staunch("logs", f"{link}#L1005-L25004").splitlines()
    assert [printed[0], printed[-1], len(printed)] == ["1001", "25000", 24_000]


LONG = "for n in $(seq 300); do printf '%019000d\\n' $n; done"


def test_a_link_to_lines_prints_all_of_them_that_there_are(
    here: Installed, repo: Registered
) -> None:
    run = here.ended(repo.plan(f"await step.job('long', run={LONG!r})"))["id"]
    link = f"{here.installation.url}/runs/{run}"
    printed = here.staunch("logs", f"{link}#L2-L5000").splitlines()
    numbers = [int(line[-5:]) for line in printed if line.isdecimal()]
    assert numbers == list(range(1, 301))
    # What is before and behind them is of the checkout and the step.
    assert (len(printed), printed[-1][:4]) == (304, "=== ")
    assert "no line 4,000 yet: it has 305" in here.staunch("logs", f"{link}#L4000-L4001", code=4)
    told = here.staunch("logs", f"{link}#L2-L5000", "--follow", code=2)
    assert "leave out --follow" in " ".join(told.split())


def test_what_was_kept_is_listed_and_can_be_had(
    here: Installed, repo: Registered, tmp_path: Path
) -> None:
    body = """
await step.job("build", run=[
    "mkdir -p dist/bin dist/empty; echo one > dist/a; ln -s a dist/b",
    "printf '#!/bin/sh' > dist/bin/run; chmod +x dist/bin/run",
    "head -c 5000000 /dev/zero > dist/big",
], artifacts={"dist": "dist"})
"""
    run = here.ended(repo.plan(body))["id"]
    assert "dist      build  1        4      5.0 MB" in here.staunch("artifacts", run)
    target = tmp_path / "got.tar"
    assert "4 files, 5.0 MB" in here.staunch("artifacts", run, "dist", "--to", str(target))
    with tarfile.open(target) as archive:
        found = {one.name: one for one in archive.getmembers()}
        assert list(found) == [
            *("dist", "dist/a", "dist/b", "dist/big", "dist/bin", "dist/bin/run", "dist/empty"),
        ]
        assert (found["dist/b"].linkname, found["dist/bin/run"].mode) == ("a", 0o755)
        inside = archive.extractfile("dist/big")
        assert inside is not None
        assert inside.read() == bytes(5_000_000)
    [kept] = here.get(f"/runs/{run}/artifacts")["artifacts"]
    listed = here.get(f"/jobs/{kept['job']}/artifacts/dist")
    assert (listed["size"], len(listed["entries"])) == (kept["size"], 7)
    assert "there is: dist of build" in here.staunch("artifacts", run, "other", code=4)
