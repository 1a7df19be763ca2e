"""A sensitive value is shown nowhere, and is there for replay all the same."""

import httpx2
import pytest
from sqlmodel import Session, select

from ci_host.adapters.sql.tables import StepRow
from pipelines.codec import decode_turn, encode_turn
from pipelines.commands import Command, Result, StepKind, StepState
from pipelines.failure import Failure
from pipelines.run import RunState
from pipelines.turn import Turn
from tests.web.told_runs import running_run
from tests.web.world import NOW, SECRETS, World

pytestmark = pytest.mark.anyio

VALUE = "swordfish"
DO = Command(kind=StepKind.DO, key="password", fingerprint="f")


def settled(value: object, **parts: object) -> Result:
    state = parts.pop("state", StepState.SUCCEEDED)
    return Result(
        kind=StepKind.DO, key="password", state=state, value=value, sensitive=True, **parts
    )


async def shown(world: World, path: str) -> str:
    transport = httpx2.ASGITransport(app=world.app)
    cookies = {"staunch_token": SECRETS["ada"]}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://test", cookies=cookies
    ) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize("value", [VALUE, {"key": [VALUE]}, None])
@pytest.mark.parametrize("path", ["/runs/{}", "/api/v1/runs/{}", "/api/v1/runs/{}/history"])
async def test_every_way_to_look_at_a_run_hides_the_value(world, path, value):
    story = await running_run(world, 1)
    await story.turn(DO, results=[settled(value)])
    text = await shown(world, path.format(story.run))
    assert VALUE not in text
    assert "(sensitive)" in text


async def test_the_database_never_has_it_and_the_history_does(world):
    story = await running_run(world, 1)
    await story.turn(DO, results=[settled(VALUE)])
    with Session(world.model.engine) as session:
        rows = session.exec(select(StepRow).where(StepRow.key == "password")).all()
    assert [row.value_json for row in rows] == ['"(sensitive)"']
    stored = await world.history.read(story.run)
    assert stored.turns[-1].turn.results[0].value == VALUE


async def test_a_failure_is_shown_with_its_text(world):
    story = await running_run(world, 1)
    failure = Failure(type="ValueError", message="no password for you")
    await story.turn(DO, results=[settled(None, state=StepState.FAILED, error=failure)])
    assert "no password for you" in await shown(world, f"/runs/{story.run}")


def test_what_was_never_sensitive_is_shown_as_it_is_and_written_as_ever():
    plain = Result(kind=StepKind.DO, key="a", state=StepState.SUCCEEDED, value=1)
    assert plain.shown() is plain


def test_it_passes_through_the_codec():
    turn = Turn(
        number=1, consumed=[1], through=1, by="e", now=NOW, digest="d", state=RunState.RUNNING,
        results=[settled(VALUE)],
    )  # fmt: skip
    assert decode_turn(encode_turn(turn)) == turn
    assert VALUE not in repr(turn.shown())
