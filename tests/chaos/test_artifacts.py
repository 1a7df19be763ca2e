"""Artifacts over a real bus: kept once their job is over, there for the next, whoever is killed."""

import pytest

from pipelines.job import Outcome, Placed
from runners import job_directory
from tests.runner_world import make_spec, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]

DIST = {"dist": ["dist"]}


@pytest.fixture
async def bus():
    async with world() as made:
        made.kept = ["--blobs", f"file://{made.root}/kept"]
        yield made


def taking(artifact, *steps, **more):
    """A job that begins with the files of an artifact."""
    files = [Placed(digest=artifact.digest, name=artifact.name, into="in")]
    return make_spec(None, *steps, key="next", files=files, **more)


async def done(bus, spec):
    await bus.submit(spec)
    return await bus.report(spec)


async def test_what_one_job_leaves_the_next_one_finds(bus):
    bus.agent(more=bus.kept)
    build = make_spec(
        None,
        "mkdir -p dist/bin && printf '#!/bin/sh\\necho it runs\\n' > dist/bin/app",
        "chmod +x dist/bin/app && ln -s bin/app dist/app",
        key="build",
        artifacts=DIST,
    )
    (artifact,) = (await done(bus, build)).artifacts
    assert (artifact.name, artifact.size, artifact.files) == ("dist", 23, 2)
    test = taking(artifact, "in/dist/app", "echo more > in/dist/more; rm in/dist/bin/app")
    report = await done(bus, test)
    assert report.outcome is Outcome.SUCCEEDED, await bus.log(test)
    assert "it runs" in await bus.log(test)


async def test_what_a_failed_job_leaves_is_kept_too(bus):
    bus.agent(more=bus.kept)
    spec = make_spec(None, "echo 1 > report.xml; exit 3", artifacts={"r": ["*.xml"], "none": ["x"]})
    report = await done(bus, spec)
    assert (report.outcome, report.exit_code) == (Outcome.FAILED, 3)
    assert [one.name for one in report.artifacts] == ["r"]


async def test_a_job_that_promises_what_it_does_not_leave_has_failed(bus):
    bus.agent(more=bus.kept)
    report = await done(bus, make_spec(None, "true", artifacts={"dist": ["dist", "*.whl"]}))
    assert report.outcome is Outcome.FAILED
    assert report.message == (
        "artifact 'dist': no file matches 'dist', '*.whl'; patterns begin at the workspace"
        " (`**/` finds a name in any folder)"
    )


async def test_the_files_of_another_repository_are_not_there(bus):
    bus.agent(more=bus.kept)
    (artifact,) = (await done(bus, make_spec(None, "echo 1 > dist", artifacts=DIST))).artifacts
    report = await done(bus, taking(artifact, "true", repo="somebody/else"))
    assert report.outcome is Outcome.REFUSED
    assert "the files of artifact 'dist' cannot be used" in report.message


async def test_a_runner_without_a_blob_store_refuses_and_names_the_option(bus):
    bus.agent()
    report = await done(bus, make_spec(None, "true", artifacts=DIST))
    assert report.outcome is Outcome.REFUSED
    assert "--blobs" in report.message


async def test_an_address_that_is_no_blob_store_ends_the_agent_at_once(bus):
    agent = bus.agent(more=["--blobs", "ftp://nowhere"])
    await until(lambda: agent.poll() is not None, "the end of the agent")
    assert agent.returncode == 1
    assert "ftp://nowhere" in bus.agent_log()


async def test_an_agent_killed_while_it_keeps_files_keeps_them_as_the_next(bus):
    agent = bus.agent(more=bus.kept)
    spec = make_spec(
        None, "mkdir dist; head -c 400M /dev/zero | tr '\\0' x > dist/big", artifacts=DIST
    )
    await bus.submit(spec)
    ended = bus.job_directory(spec) / job_directory.EXIT
    await until(ended.exists, "the end of the job")
    agent.kill()
    agent.wait()
    assert await bus.reports(spec) == []
    bus.agent(more=bus.kept)
    report = await bus.report(spec)
    assert (report.outcome, report.artifacts[0].size) == (Outcome.SUCCEEDED, 400 * 1024 * 1024)
    await bus.settled()
    assert len(await bus.reports(spec)) == 1
