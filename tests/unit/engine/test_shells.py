"""Who may open a terminal in a job, and what is on record of it."""

from typing import Any

import pytest
from msgspec import UNSET, structs

from ci_host.access import Token
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.shells import MemoryShells
from ci_host.api.standing_by import shells, with_standbys
from ci_host.engine.people import PersonRefused
from ci_host.engine.reruns import wait_of
from ci_host.engine.shells import Shells
from ci_host.shell_ports import Terminals
from pipelines.commands import Command, Open, OpenJob, StepKind
from pipelines.event import Event
from pipelines.events import RunStarted
from pipelines.ids import JobId
from pipelines.job import JobRequest, ShellStep, Source
from pipelines.run import RunState
from pipelines.shell import Session, Standby, Wait
from pipelines.turn import Turn
from tests.engine.secret_world import FORK, JOB, PUSH, REPO, RUN

pytestmark = pytest.mark.anyio

NOW = 1_000.0
ADMIN = Token(digest="a", name="ada", admin=True)
OPS = Token(digest="g", name="grace", teams=["ops"])
WISHER = Token(digest="m", name="mallory")
STANDBY = Standby(job=JOB, runner="r", step="pytest", exit_code=1, since=NOW - 10, until=NOW + 100)
REQUEST = JobRequest(steps=[ShellStep(run="pytest")], debuggers=["@ops"], wait_s=60)


async def shells_of(
    request: JobRequest = REQUEST, event: Event = PUSH, **more: Any
) -> tuple[Shells, MemoryShells]:
    """A Run whose job waits; `mallory` had it wait."""
    history, store = MemoryHistory(NOW), MemoryShells()
    started = RunStarted(
        run=RUN,
        repo=REPO.id,
        repo_name=REPO.name,
        connection=REPO.connection,
        pipeline="pipeline",
        file=".staunch/pipeline.py",
        bundle="0" * 64,
        source=Source(mirror="/m", commit="1" * 40),
        event=event,
        wait=Wait(seconds=60, by=WISHER.name),
    )
    await history.create(RUN, started)
    job = Command(kind=StepKind.JOB, key="deploy", fingerprint="f", request=request)
    wanted = Open(jobs=[OpenJob(key="deploy", attempt=1, cancelling=more.get("cancelling", False))])
    turn = Turn(
        number=1,
        now=NOW,
        digest="d",
        consumed=[1],
        through=1,
        by="engine",
        state=RunState.RUNNING,
        commands=[job],
        open=wanted,
    )
    await history.append_turn(RUN, turn, after=0)
    store.holders[JOB] = more.get("holder", "r")
    store.told[JOB] = structs.replace(STANDBY, **more.get("standby", {}))
    ids = iter(range(100))
    made = Shells(store, history, now=lambda: NOW, new_id=lambda: f"id{next(ids)}")
    return made, store


@pytest.mark.parametrize("who", [ADMIN, OPS, WISHER])
async def test_administrators_debuggers_and_who_had_it_wait_may(who: Token) -> None:
    made, _ = await shells_of()
    assert await made.admit(JOB, who) == STANDBY


@pytest.mark.parametrize(
    ("who", "changes", "status", "said"),
    [
        (Token(digest="x", name="eve"), {}, 403, "administrators may, and its debuggers: @ops"),
        (WISHER, {"secrets": {"A": "KEY"}}, 403, "It has secrets, which whoever is in it can read"),
        (WISHER, {"id_token": "sts"}, 403, "It has secrets"),
    ],
)
async def test_others_may_not_and_a_wish_opens_no_job_with_secrets(
    who: Token, changes: dict[str, Any], status: int, said: str
) -> None:
    made, _ = await shells_of(structs.replace(REQUEST, **changes))
    with pytest.raises(PersonRefused, match=said) as refused:
        await made.admit(JOB, who)
    assert refused.value.status == status


async def test_whom_a_pipeline_names_may_also_where_there_are_secrets() -> None:
    made, _ = await shells_of(structs.replace(REQUEST, secrets={"A": "KEY"}))
    assert await made.admit(JOB, OPS) == STANDBY


async def test_nobody_opens_one_among_a_strangers_code_nor_has_it_wait() -> None:
    event = structs.replace(PUSH, pull_request=FORK)
    made, _ = await shells_of(event=event)
    with pytest.raises(PersonRefused, match="nobody opens a terminal among a stranger's code"):
        await made.admit(JOB, ADMIN)
    with pytest.raises(PersonRefused, match="do not wait for a terminal"):
        wait_of(event, 60, ADMIN)
    assert wait_of(event, 0, ADMIN) is UNSET


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cancelling": True}, "is over, or being ended; a job waits"),
        ({"standby": {"until": NOW}}, "its time was up"),
        # What another runner than the holder says of the job is not believed.
        ({"holder": "another"}, "does not wait for a terminal; a job waits after a failed step if"),
    ],
)
async def test_a_job_that_does_not_wait_says_how_one_does(more: dict[str, Any], said: str) -> None:
    made, _ = await shells_of(**more)
    with pytest.raises(PersonRefused, match=said):
        await made.admit(JOB, ADMIN)


@pytest.mark.parametrize(
    "job", ["nonsense", "0-0123456789abcdef9999.x.1", f"{RUN}.*.1", f"{RUN}.>"]
)
async def test_what_is_no_job_is_none(job: str) -> None:
    made, _ = await shells_of()
    with pytest.raises(PersonRefused):
        await made.admit(JobId(job), ADMIN)


async def test_a_session_is_on_record_before_and_after() -> None:
    made, store = await shells_of()
    session = await made.begin(JOB, OPS)
    (kept,) = (await store.of_run(RUN)).sessions
    assert (kept.by, kept.opened_at, kept.closed_at) == ("grace", NOW, None)
    await made.end(session, "left")
    (kept,) = (await store.of_run(RUN)).sessions
    assert (kept.closed_at, kept.why) == (NOW, "left")


def test_a_job_that_waits_says_so_in_place_of_running() -> None:
    record = {"kind": "job", "key": "deploy", "attempt": 1, "phase": "running", "words": "job"}
    others = [{**record, "attempt": 2}, {**record, "phase": "reported"}, {"kind": "gate"}]
    found = with_standbys(RUN, [record, *others], Terminals({JOB: STANDBY}))
    assert found[1:] == others
    assert found[0]["phase"] == "standby"
    assert (found[0]["since"], found[0]["until"]) == (NOW - 10, NOW + 100)
    assert "since step 'pytest' ended with exit code 1" in found[0]["words"]


def test_a_session_whose_end_nobody_recorded_ended_with_its_job() -> None:
    from ci_host.adapters.sql.tables import AttemptRow

    row = AttemptRow(job=JOB, run=RUN, key="deploy", attempt=1, state="failed", finished_at=NOW + 5)
    session = Session(id="s", job=JOB, by="ada", opened_at=NOW)
    (shown,) = shells([row], Terminals({}, [session, structs.replace(session, job="other")]))
    assert (shown["key"], shown["closed_at"], shown["by"]) == ("deploy", NOW + 5, "ada")
