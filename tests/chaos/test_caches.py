"""Caches over a real bus: what a job left is there for one like it, and for nobody else."""

import shutil
import subprocess

import msgspec
import pytest

from pipelines.cache import Cache
from pipelines.job import Outcome
from pipelines.trust import Tier
from tests.runner_world import make_mirror, make_spec, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]

PIP = Cache(name="pip", paths=[".pip"], on=["*.lock"])
LOOK = "cat .pip/wheel 2>/dev/null || echo nothing there"
MAKE = "mkdir -p .pip && echo of-$STAUNCH_JOB > .pip/wheel"


class Jobs:
    """Jobs on one runner, each by its name."""

    def __init__(self, bus, source):
        self.bus = bus
        self.source = source

    async def run(self, key, *steps, ref="refs/heads/main", source=None, **more):
        tier, base = more.pop("tier", Tier.TRUSTED), more.pop("base_ref", "")
        more.setdefault("caches", [PIP])
        spec = make_spec(source or self.source, *steps, key=key, **more)
        spec = msgspec.structs.replace(spec, tier=tier, ref=ref, base_ref=base)
        await self.bus.submit(spec)
        report = await self.bus.report(spec)
        return report, await self.bus.log(spec)

    async def found(self, key, **more):
        """What a job of this name finds in its cache. It keeps nothing: it fails."""
        report, log = await self.run(key, LOOK, "false", **more)
        assert report.outcome is Outcome.FAILED
        return log


@pytest.fixture
async def jobs():
    async with world() as bus:
        bus.agent(more=["--blobs", f"file://{bus.root}/kept"])
        source = make_mirror(bus.root / "app", {"a.lock": "1\n", "code.py": "x = 1\n"})
        yield Jobs(bus, source)


def committed(jobs, name, text):
    """The source with one more commit."""
    work, mirror = jobs.bus.root / "app" / "work", jobs.source.mirror
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", str(work)]
    (work / name).write_text(text)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "more"], check=True)
    subprocess.run([*git, "push", "-q", mirror, "HEAD"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return msgspec.structs.replace(jobs.source, commit=head.stdout.strip())


async def test_what_a_job_left_is_there_for_one_like_it_until_its_files_change(jobs):
    report, log = await jobs.run("first", LOOK, MAKE)
    assert report.outcome is Outcome.SUCCEEDED
    assert "=== cache pip: nothing is kept yet\n" in log
    assert "nothing there" in log
    _, log = await jobs.run("second", LOOK, MAKE)
    assert "=== cache pip: restored 1 files, 9 bytes, from refs/heads/main\n" in log
    # It is kept once: what was the same is not written anew.
    code = committed(jobs, "code.py", "x = 2\n")
    assert "\nof-first\n" in await jobs.found("third", source=code)
    lock = committed(jobs, "a.lock", "2\n")
    log = await jobs.found("fourth", source=lock)
    assert "from refs/heads/main, of other files than this commit's\n" in log
    exact = msgspec.structs.replace(PIP, exact=True)
    log = await jobs.found("fifth", source=lock, caches=[exact])
    assert "nothing there" in log
    await jobs.run("sixth", MAKE, source=lock)
    assert "\nof-sixth\n" in await jobs.found("seventh", source=lock)
    assert "\nof-first\n" in await jobs.found("eighth", source=code)


async def test_a_branch_reads_the_default_branchs_and_nobody_reads_a_branchs(jobs):
    await jobs.run("main", MAKE)
    topic = {"ref": "refs/heads/topic"}
    assert "\nof-main\n" in await jobs.found("a", **topic)
    lock = committed(jobs, "a.lock", "2\n")
    await jobs.run("topic", MAKE, source=lock, **topic)
    assert "\nof-topic\n" in await jobs.found("b", source=lock, **topic)
    assert "\nof-main\n" in await jobs.found("c", source=lock)
    assert "\nof-main\n" in await jobs.found("d", source=lock, ref="refs/heads/other")
    base = {"ref": "refs/pull/7/head", "base_ref": "topic"}
    assert "\nof-topic\n" in await jobs.found("e", source=lock, **base)


async def test_what_a_change_of_a_stranger_leaves_reaches_no_release(jobs):
    stranger = {"ref": "refs/pull/9/head", "tier": Tier.UNTRUSTED, "base_ref": "main"}
    report, _ = await jobs.run("poison", MAKE, **stranger)
    assert report.outcome is Outcome.SUCCEEDED
    assert "\nof-poison\n" in await jobs.found("again", **stranger)
    assert "nothing there" in await jobs.found("release")
    assert "nothing there" in await jobs.found("same-ref", ref="refs/pull/9/head")
    pretender = {**stranger, "ref": "refs/heads/main"}
    await jobs.run("pretends", MAKE, **pretender)
    assert "nothing there" in await jobs.found("release-2")
    await jobs.run("main", MAKE)
    other = {**stranger, "ref": "refs/pull/10/head"}
    assert "\nof-main\n" in await jobs.found("reads-main", **other)


async def test_a_cache_that_is_damaged_or_cannot_be_kept_costs_time_and_is_told(jobs):
    await jobs.run("first", MAKE)
    shutil.rmtree(jobs.bus.root / "kept" / "pieces")
    other = Cache(name="none", paths=["never"])
    report, log = await jobs.run("second", LOOK, caches=[PIP, other])
    assert report.outcome is Outcome.SUCCEEDED
    assert "cache pip: nothing restored, what was kept of it is damaged" in log
    assert "nothing there" in log
    assert report.left_out == ["cache 'none' is not kept: no file matches 'never'"]
    missing = Cache(name="pip", paths=[".pip"], on=["no-such-file"])
    _, log = await jobs.run("third", LOOK, caches=[missing])
    assert "cache pip: nothing restored, no file of the commit matches 'no-such-file'" in log
