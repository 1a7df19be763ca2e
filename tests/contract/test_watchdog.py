"""A job that uses more memory or disk than it may is ended, and that is said; others are not."""

import pytest

from pipelines.job import JobRequest, ShellStep
from runners.allowance import Allowance, granted
from runners.ports import Refused
from tests.runner_world import make_spec

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

MIB = 1 << 20
HOG = "/usr/bin/python3 -c \"import time; held = b'x' * ({} << 20); time.sleep({})\""
FAMILY = "for n in 1 2 3 4; do " + HOG.format(40, 60) + " & done; wait"
LINKS = "head -c 12000000 /dev/zero > a; for n in 1 2 3 4 5 6 7 8; do ln a b$n; done; sleep 5"


async def used(bench, key, run, **launch):
    directory = await bench.start(make_spec(None, run, key=key), **launch)
    record = await bench.end(directory)
    return record, (directory / "log").read_text()


async def test_a_job_with_too_much_memory_is_ended_at_once_and_told_why(bench):
    record, log = await used(bench, "hog", HOG.format(200, 60), memory_bytes=100 * MIB)
    assert record["outcome"] == "failed"
    assert record["message"] == "the job used more than its limit of 100 MiB of memory"
    assert f"=== {record['message']}\n" in log
    assert record["finished_at"] - record["started_at"] < 30


async def test_within_its_limit_a_job_is_left_alone(bench):
    record, log = await used(
        bench, "modest", HOG.format(60, 1), memory_bytes=400 * MIB, disk_bytes=400 * MIB
    )
    assert record["outcome"] == "succeeded", log


async def test_all_processes_of_a_job_count_together(bench):
    record, _ = await used(bench, "family", FAMILY, memory_bytes=120 * MIB)
    assert record["message"] == "the job used more than its limit of 120 MiB of memory"


async def test_what_a_job_writes_into_memory_counts_as_memory(sandbox):
    fill = "head -c 60000000 /dev/zero > /tmp/a; head -c 60000000 /dev/zero > /dev/shm/b; sleep 60"
    record, _ = await used(sandbox, "tmpfs", fill, memory_bytes=100 * MIB)
    assert record["message"] == "the job used more than its limit of 100 MiB of memory"


async def test_a_job_that_writes_too_much_to_its_disk_is_ended(bench):
    fill = "for n in $(seq 100); do mkdir -p d$n; head -c 1000000 /dev/zero > d$n/x; done; sleep 60"
    record, _ = await used(bench, "disk", fill, disk_bytes=40 * MIB)
    assert record["outcome"] == "failed"
    assert record["message"] == "the job wrote more than its limit of 40 MiB to its disk"


async def test_a_file_under_many_names_counts_once(bench):
    record, log = await used(bench, "links", LINKS, disk_bytes=40 * MIB)
    assert record["outcome"] == "succeeded", log


def asked(**more):
    return JobRequest(steps=[ShellStep(run="true")], **more)


def test_a_job_gets_what_it_asks_for_else_what_there_is():
    most = Allowance(memory_bytes=100, disk_bytes=200)
    assert granted(asked(), most) == most
    less = granted(asked(memory_bytes=50, disk_bytes=60), most)
    assert (less.memory_bytes, less.disk_bytes) == (50, 60)


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_a_job_that_asks_for_more_than_there_is_is_refused(what):
    most = Allowance(memory_bytes=100 * MIB, disk_bytes=100 * MIB)
    with pytest.raises(Refused, match=rf"200 MiB of {what}.*may have 100 MiB \(--{what}-gb\)"):
        granted(asked(**{f"{what}_bytes": 200 * MIB}), most)
