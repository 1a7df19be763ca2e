"""Reports of Runs that are over, from a queue to both Bitbuckets: told whole, once, in limits."""

import httpx2
import pytest

from pipelines.job import Annotation
from pipelines.repo import Connection, ForgeKind
from pipelines.status import ANNOTATIONS_MAX, Standing, StatusState
from tests.contract.status_queue import status
from tests.contract.strict_bitbucket import StrictBitbucket, StrictDataCenter
from tests.contract.test_bitbucket_delivery import UUID, tell
from webhooks.reporter import shows_reports_of

pytestmark = pytest.mark.anyio

CLOUD, SERVER = ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DC
REPO = {CLOUD: f"tea/{UUID}", SERVER: "tea/62"}
NOTE = Annotation(file="src/a.py", line=3, message="it leaks", level="error", title="E501")


def forge_of(kind):
    if kind is CLOUD:
        return StrictBitbucket("Bearer t0ken", {f"{{{UUID}}}"})
    return StrictDataCenter("t0ken", {"waterways/lock"})


def ended(kind, number=1, **changes):
    """The last Status of a Run."""
    facts = {"state": StatusState.FAILURE, "context": "staunch/build", "repo": REPO[kind]}
    more = {"is_last": True, "summary": "It **failed**.", "annotations": [NOTE]}
    return status(number, **{**facts, **more, **changes})


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_a_run_that_is_over_has_a_report_with_its_annotations(kind):
    forge = forge_of(kind)
    queue, refused = await tell(kind, forge, ended(kind))
    assert queue.left == [] and refused == []
    ((key, report),) = forge.insights.reports.items()
    assert len(key) == 40
    assert report.body["title"] == "staunch/build"
    assert report.body["details"] == "It **failed**."
    assert report.body["link"] == "https://ci.example/runs/1"
    assert report.body["result"] == {CLOUD: "FAILED", SERVER: "FAIL"}[kind]
    (note,) = report.annotations.values()
    assert (note["path"], note["line"], note["severity"]) == ("src/a.py", 3, "HIGH")
    words = {CLOUD: ("E501", "it leaks"), SERVER: ("E501: it leaks",)}
    told = {CLOUD: ("summary", "details"), SERVER: ("message",)}
    assert tuple(note[name] for name in told[kind]) == words[kind]


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_what_still_runs_or_waits_has_no_report(kind):
    forge = forge_of(kind)
    waits = {"is_last": False, "standing": Standing.WAITING, "state": StatusState.PENDING}
    _, refused = await tell(kind, forge, ended(kind, **waits))
    assert refused == [] and forge.insights.calls == []


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_a_later_attempt_leaves_nothing_of_the_one_before(kind):
    forge = forge_of(kind)
    good = ended(kind, 3, state=StatusState.SUCCESS, annotations=[], summary="")
    await tell(kind, forge, ended(kind), good, good)
    (report,) = forge.insights.reports.values()
    assert report.body["result"] in ("PASSED", "PASS")
    assert report.body["details"] == good.description
    assert report.annotations == {}


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
@pytest.mark.parametrize("count", [100, 101, ANNOTATIONS_MAX])
async def test_many_annotations_go_in_batches_and_too_long_ones_are_cut(kind, count):
    forge = forge_of(kind)
    notes = [
        Annotation(file=f"{n}.py", line=0, message="ä" * 5_000, level=level, title="t" * 999)
        for n, level in zip(
            range(count), ["error", "warning", "notice", "odd"] * count, strict=False
        )
    ]
    long = {"summary": "ß" * 9_000, "context": "c" * 600, "target_url": "https://ci.example/1"}
    _, refused = await tell(kind, forge, ended(kind, annotations=notes, **long))
    assert refused == []
    (report,) = forge.insights.reports.values()
    assert [one["path"] for one in report.annotations.values()] == [one.file for one in notes]
    assert forge.insights.calls.count("POST annotations") == -(-count // 100)


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_a_report_that_was_half_told_when_the_forge_failed_is_told_whole(kind):
    forge = forge_of(kind)
    notes = [Annotation(file=f"{n}.py", line=1, message="m") for n in range(150)]
    answers = iter([None] * 4 + [httpx2.Response(429, headers={"retry-after": "90"})])

    def ill(request: httpx2.Request) -> httpx2.Response:
        # The build, the old report, the new one, and a hundred of its annotations get through.
        return next(answers, None) or forge(request)

    queue, refused = await tell(kind, ill, ended(kind, annotations=notes))
    assert queue.left == [] and refused == [] and queue.now >= 90.0
    (report,) = forge.insights.reports.values()
    assert len(report.annotations) == 150


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_a_forge_that_takes_no_reports_has_the_build_all_the_same(kind):
    forge = forge_of(kind)

    def without(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(403) if "/reports/" in request.url.path else forge(request)

    queue, refused = await tell(kind, without, ended(kind))
    assert queue.left == [] and len(forge.builds) == 1
    (line,) = refused
    assert "the build is told, but not all of its report" in str(line["reason"])


@pytest.mark.parametrize("file", ["/etc/passwd", "../x", "a//b", ""])
@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_an_annotation_that_has_no_place_in_the_repository_is_left_out(kind, file):
    forge = forge_of(kind)
    stray = Annotation(file=file, line=1, message="m")
    _, refused = await tell(kind, forge, ended(kind, annotations=[stray, NOTE]))
    (report,) = forge.insights.reports.values()
    assert refused == [] and len(report.annotations) == 1


def test_a_connection_shows_reports_if_its_forge_does():
    shown = {
        kind for kind in ForgeKind if shows_reports_of(Connection(id="a", kind=kind, api_url="u"))
    }
    assert shown == {CLOUD, SERVER}
    assert shows_reports_of(Connection(id="a", kind=ForgeKind.GITHUB, app="1"))
