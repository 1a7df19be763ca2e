"""Services of a job on the run's page, in the API, and by their logs."""

import msgspec
import pytest

from pipelines.ids import JobId
from pipelines.job import LogChunk
from pipelines.service import Service, ServiceReport, log_of_service, owner_of_log
from tests.web.visitor import check
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "ab" * 32
ASKED = [Service(name="db", image="postgres:15"), Service(name="cache", run="redis-server")]
TOLD = [
    ServiceReport(name="db", state="ready", image=f"postgres@{DIGEST}", seconds=2.5, log_bytes=9),
    ServiceReport(name="cache", state="ended", message="ended with <exit> code 1"),
]


@pytest.fixture
async def story(world):
    story = await Story(world, 9).begin()
    await story.turn(job("unit", services=ASKED))
    world.write_log(story.job_id("unit"), "=== make test\n")
    world.write_log(service_log(story), "db is up\n")
    return story


def service_log(story, name: str = "db") -> JobId:
    return JobId(log_of_service(story.job_id("unit"), name))


async def test_the_page_links_to_the_log_of_each_service_while_the_job_runs_and_after(world, story):
    page = (await check(world, f"/runs/{story.run}?job=unit")).text
    assert f'data-job="{story.job_id("unit")}"' in page
    link = f'<a href="/runs/{story.run}?job=unit&amp;attempt=1&amp;service=db#log" data-job-link>db'
    assert link in page
    await story.finish("unit", services=TOLD, image=f"python@{DIGEST}")
    page = (await check(world, f"/runs/{story.run}?job=unit&service=db")).text
    assert f'data-job="{service_log(story)}"' in page
    assert 'data-key="unit" data-attempt="1" data-service="db"' in page
    assert "<span>db is up</span>" in page
    assert "ready after 2.5s" in page
    assert f'<bdi title="postgres@{DIGEST}">postgres@abababababab</bdi>' in page
    assert f'image <bdi title="python@{DIGEST}">python@abababababab</bdi>' in page
    assert "<bdi>ended with &lt;exit&gt; code 1</bdi>" in page


async def test_a_service_that_there_is_not_shows_the_job(world, story):
    page = (await check(world, f"/runs/{story.run}?job=unit&service=other")).text
    assert f'data-job="{story.job_id("unit")}"' in page


async def test_the_api_has_states_and_logs(world, story):
    shown = (await check(world, f"/api/v1/runs/{story.run}")).json()
    assert [one["state"] for one in shown["attempts"][0]["services"]] == ["asked", "asked"]
    await story.finish("unit", services=TOLD)
    shown = (await check(world, f"/api/v1/runs/{story.run}")).json()
    db, cache = shown["attempts"][0]["services"]
    assert db["log"] == service_log(story)
    assert (db["state"], db["seconds"], db["log_bytes"]) == ("ready", 2.5, 9)
    assert cache["message"] == "ended with <exit> code 1"
    assert (await check(world, f"/api/v1/jobs/{db['log']}/log")).text == "db is up\n"
    lines = (await check(world, f"/api/v1/jobs/{db['log']}/log/lines")).json()
    assert lines["lines"] == ["db is up"]
    streamed = (await check(world, f"/api/v1/jobs/{db['log']}/log/stream")).text
    assert "data: db is up" in streamed
    assert "event: end" in streamed
    missing = await check(world, f"/api/v1/jobs/{service_log(story, 'other')}/log")
    assert missing.status_code == 404
    assert "no service 'other', but db, cache" in missing.text


async def test_a_log_that_was_kept_as_a_whole_is_one_of_the_run():
    job_id, name = owner_of_log("0-abc.def.1.db")
    assert (job_id, name) == ("0-abc.def.1", "db")
    assert owner_of_log("0-abc.def.1") == ("0-abc.def.1", "")
    assert msgspec.json.decode(msgspec.json.encode(TOLD), type=list[ServiceReport]) == TOLD
    assert LogChunk(offset=0, size=0, at=0.0, text="").kept == ""
