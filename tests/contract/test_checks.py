"""Checks of a GitHub App, told to a GitHub that is strict: one for each Run, whatever dies."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import msgspec
import pytest

from pipelines.job import Annotation
from pipelines.status import ANNOTATIONS_MAX, Standing, Status, StatusState, gate_mark
from tests.contract.app_keys import APP, app_connection, new_keys
from tests.contract.status_queue import HourQueue, told_by
from tests.contract.strict_github import TOKEN_S, StrictGitHub
from webhooks.forge import Refused, SendLater, Sent
from webhooks.github.check_body import RERUN
from webhooks.memory import MemoryConnections
from webhooks.reporter import StatusSender

pytestmark = pytest.mark.anyio

KEYS = new_keys()
HUB = app_connection(KEYS)
COMMIT = "a" * 40
RUN = "1-0123456789abcdef0123"
NAME = "staunch/pipeline"
UNFINISHED = {Standing.QUEUED, Standing.RUNNING}
NOW = 1_800_000_000.0


def status(standing: Standing = Standing.RUNNING, **changes) -> Status:
    state = {Standing.RUNNING: StatusState.PENDING, Standing.SUCCEEDED: StatusState.SUCCESS}
    facts = {
        "id": f"s-{standing}",
        "connection": "hub",
        "repo": "1",
        "repo_name": "waterways/lock",
        "commit": COMMIT,
        "context": NAME,
        "state": state.get(standing, StatusState.FAILURE),
        "description": str(standing),
        "target_url": "https://ci.example/runs/1",
        "at": NOW,
        "standing": standing,
        "run": RUN,
    }
    return Status(**{**facts, **changes})


def notes(count: int, message: str = "of no use") -> list[Annotation]:
    return [Annotation(file="a/b.py", line=n + 1, message=f"{message} {n}") for n in range(count)]


DONE = status(Standing.FAILED, is_last=True, summary="**one** failed", annotations=notes(3))


class Hub:
    """A strict GitHub, and lives of a host that tells it."""

    def __init__(self) -> None:
        self.now = NOW
        self.github = StrictGitHub(APP, KEYS.public, lambda: self.now)

    @contextmanager
    def life(self) -> Iterator[StatusSender]:
        """One life of a host: what it remembers is gone at the end."""
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.github))
        known = MemoryConnections(HUB)
        yield StatusSender(known, client, now=lambda: self.now, dice=lambda: 0.0)

    async def told(self, *statuses: Status):
        """What becomes of them in one life, all of them."""
        with self.life() as sender:
            return [await sender.send(one) for one in statuses]

    def check(self):
        """The one check run that there is."""
        (run,) = self.github.runs.values()
        return run


async def test_a_run_is_one_check_from_its_beginning_to_its_end() -> None:
    hub = Hub()
    assert await hub.told(status(began_at=NOW - 60), DONE) == [Sent(), Sent()]
    check = hub.check()
    fields = check.fields
    assert (fields["name"], fields["head_sha"], fields["external_id"]) == (NAME, COMMIT, RUN)
    assert (fields["status"], fields["conclusion"]) == ("completed", "failure")
    assert fields["details_url"] == "https://ci.example/runs/1"
    assert fields["started_at"] < fields["completed_at"] == "2027-01-15T08:00:00Z"
    assert fields["output"] == {"title": "failed", "summary": "**one** failed"}
    assert [one["start_line"] for one in check.annotations] == [1, 2, 3]
    assert [one["identifier"] for one in fields["actions"]] == [RERUN, "rerun-failed"]
    assert 422 not in hub.github.codes


async def test_every_standing_is_taken_and_none_but_queued_and_running_is_left_unfinished() -> None:
    hub = Hub()
    for number, standing in enumerate(Standing):
        one = status(standing, context=f"c{number}", is_last=True)
        assert await hub.told(one, one) == [Sent(), Sent()]
        (run,) = hub.github.named(f"c{number}")
        assert (run.fields["status"] == "completed") == (standing not in UNFINISHED)
        assert (
            not run.fields["actions"]
            or run.fields["status"] == "completed"
            or standing in UNFINISHED
        )


async def test_a_gate_asks_for_action_and_is_then_what_was_answered() -> None:
    hub = Hub()
    gate = f"{NAME}/deploy"
    await hub.told(status(), status(Standing.WAITING, context=gate))
    (check,) = hub.github.named(gate)
    assert check.fields["conclusion"] == "action_required"
    # Finished for GitHub, so it does not become stale while people think.
    assert check.fields["status"] == "completed" and check.fields["actions"] == []
    await hub.told(status(Standing.SUCCEEDED, context=gate))
    assert check.fields["conclusion"] == "success" and len(hub.github.runs) == 2


async def test_a_host_that_dies_after_the_post_finds_its_check_and_makes_no_other() -> None:
    hub = Hub()

    def taken_and_cut(request: httpx2.Request) -> httpx2.Response | None:
        if request.method != "GET" and "check-runs" in request.url.path:
            hub.github.answer(request)
            raise httpx2.ReadError("the host is gone")
        hub.github.answers.insert(0, taken_and_cut)
        return None

    for one in (status(), DONE):
        hub.github.answers = [taken_and_cut]
        (told,) = await hub.told(one)
        assert isinstance(told, SendLater)
        # Another life, which knows nothing of it.
        assert await hub.told(one) == [Sent()]
    assert hub.check().fields["conclusion"] == "failure"
    assert len(hub.check().annotations) == 3


async def test_the_same_status_again_and_again_is_one_check_with_each_annotation_once() -> None:
    hub = Hub()
    for _ in range(3):
        assert await hub.told(status(), DONE, DONE) == [Sent()] * 3
    assert len(hub.check().annotations) == 3


async def test_what_a_check_says_already_is_not_told_to_it_once_more() -> None:
    hub = Hub()
    waits = status(Standing.WAITING, id="w")
    await hub.told(status(), waits, msgspec.structs.replace(waits, id="v", at=NOW + 1), status())
    assert [call.split()[0] for call in hub.github.calls][2:] == ["GET", "POST", "PATCH", "PATCH"]
    assert hub.check().fields["status"] == "in_progress"


async def test_a_run_that_is_queued_runs_and_ends_is_one_check_whoever_dies_in_between() -> None:
    hub = Hub()
    for standing in (Standing.QUEUED, Standing.RUNNING, Standing.SUCCEEDED):
        # Each told in a life of its own, and once more.
        await hub.told(status(standing))
        await hub.told(status(standing))
    assert hub.check().fields["conclusion"] == "success"


async def test_the_buttons_of_a_gate_are_there_while_it_waits_and_gone_afterwards() -> None:
    hub = Hub()
    await hub.told(status(Standing.WAITING, gate=gate_mark(RUN, "deploy")))
    assert [one["label"] for one in hub.check().fields["actions"]] == ["Approve", "Reject"]
    await hub.told(status(Standing.SUCCEEDED))
    assert hub.check().fields["actions"] == []
    assert 422 not in hub.github.codes


async def test_another_attempt_of_the_run_is_a_check_of_its_own_beside_the_old_one() -> None:
    hub = Hub()
    again = status(run="2-0123456789abcdef0123")
    await hub.told(DONE, again)
    # Told once more, the old one is found behind the new one of its name.
    assert await hub.told(DONE) == [Sent()]
    assert [run.fields["status"] for run in hub.github.named(NAME)] == ["completed", "in_progress"]


async def test_the_check_of_another_app_is_not_taken_for_ours() -> None:
    hub = Hub()
    forged = {"id": 5, "name": NAME, "head_sha": COMMIT, "external_id": RUN, "app": {"id": 666}}
    hub.github.others = [{**forged, "id": n} for n in range(150)]
    await hub.told(status())
    # Ours is on the second page now.
    assert await hub.told(status(Standing.SUCCEEDED)) == [Sent()]
    assert hub.check().fields["conclusion"] == "success"


@pytest.mark.parametrize("count", [50, 51, ANNOTATIONS_MAX])
async def test_annotations_go_fifty_at_a_time(count: int) -> None:
    hub = Hub()
    one = msgspec.structs.replace(DONE, annotations=notes(count))
    assert await hub.told(one) == [Sent()]
    assert [a["start_line"] for a in hub.check().annotations] == list(range(1, count + 1))
    assert len([c for c in hub.github.calls if c.startswith("PATCH")]) == (count - 1) // 50


async def test_a_forge_that_stops_in_the_middle_of_annotations_gets_the_rest_and_no_more() -> None:
    hub = Hub()
    one = msgspec.structs.replace(DONE, annotations=notes(130))
    limited = httpx2.Response(403, headers={"retry-after": "60"})
    with hub.life() as sender:
        # Two for the token, the look, the check with the first fifty; then it is enough.
        hub.github.answers = [None, None, None, None, limited]
        told = await sender.send(one)
        assert isinstance(told, SendLater) and told.retry_after_s == 60.0
        assert hub.check().fields["conclusion"] == "failure"
        assert await sender.send(one) == Sent()
    lines = [a["start_line"] for a in hub.check().annotations]
    assert lines == list(range(1, 131))


async def test_a_verdict_is_told_though_its_annotations_are_refused_and_that_is_said() -> None:
    hub = Hub()

    def refused(request: httpx2.Request) -> httpx2.Response | None:
        if b'"annotations"' in request.content:
            return httpx2.Response(422, json={"message": "a path that it does not like"})
        hub.github.answers.insert(0, refused)
        return None

    hub.github.answers = [refused]
    (told,) = await hub.told(DONE)
    assert isinstance(told, Refused) and "a path that it does not like" in told.reason
    assert hub.check().fields["conclusion"] == "failure"


async def test_a_token_that_has_expired_or_was_taken_away_is_replaced_in_the_same_breath() -> None:
    hub = Hub()
    with hub.life() as sender:
        assert await sender.send(status()) == Sent()
        hub.now += TOKEN_S
        assert await sender.send(status(description="still running")) == Sent()
        hub.github.tokens.clear()
        assert await sender.send(DONE) == Sent()
    assert hub.check().fields["conclusion"] == "failure"
    assert 401 in hub.github.codes


async def test_a_number_that_github_does_not_know_any_more_is_looked_for_again() -> None:
    hub = Hub()
    with hub.life() as sender:
        await sender.send(status())
        hub.github.runs = {2: hub.check()}
        hub.check().id = 2
        assert await sender.send(DONE) == Sent()
    assert hub.check().fields["conclusion"] == "failure"


async def test_an_app_that_was_removed_is_a_refusal_that_says_so_and_holds_up_nobody() -> None:
    hub = Hub()
    with hub.life() as sender:
        await sender.send(status())
        del hub.github.installed["waterways/lock"]
        hub.github.tokens.clear()
        told = await sender.send(DONE)
    assert isinstance(told, Refused) and "is not installed" in told.reason


async def test_what_is_as_long_as_can_be_is_taken() -> None:
    hub = Hub()
    long = Annotation(file="ü" * 200, line=0, message="ü" * 65_536, level="odd", title="t" * 300)
    one = status(
        Standing.FAILED,
        context="staunch/" + "ü" * 400,
        description="x\n" * 500,
        summary="```\n" + "é\n" * 65_535,
        target_url="ci.example",
        annotations=[long, msgspec.structs.replace(long, file="/etc/passwd")],
    )
    assert await hub.told(one, one) == [Sent(), Sent()]
    check = hub.check()
    assert 422 not in hub.github.codes and len(check.annotations) == 1
    assert check.fields["output"]["summary"].endswith("```\n\n… and more: ci.example")


async def test_statuses_of_before_there_were_checks_are_checks_too() -> None:
    hub = Hub()
    old = {"id", "connection", "repo", "repo_name", "commit", "context", "state", "description"}
    kept = msgspec.to_builtins(status())
    stored = msgspec.json.encode({k: v for k, v in kept.items() if k in old | {"target_url", "at"}})
    one = msgspec.json.decode(stored, type=Status)
    assert await hub.told(one, one) == [Sent(), Sent()]
    assert hub.check().fields["status"] == "in_progress"


async def test_limits_and_outages_are_waited_for_and_everything_is_told_in_order() -> None:
    hub = Hub()
    queue = HourQueue([status(), DONE, status(context="other", id="o")])
    hub.now = queue.now
    ill = [httpx2.Response(502), httpx2.Response(429, headers={"retry-after": "90"})]
    hub.github.answers = [
        *ill,
        None,
        None,
        None,
        httpx2.Response(403, headers={"retry-after": "5"}),
    ]
    with hub.life() as sender:
        await told_by(queue, sender)
    assert queue.left == [] and queue.now >= 95.0
    assert [run.fields["name"] for run in hub.github.runs.values()] == [NAME, "other"]
    assert hub.github.named(NAME)[0].fields["conclusion"] == "failure"
