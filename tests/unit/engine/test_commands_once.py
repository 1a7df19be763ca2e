"""A comment is obeyed once: however often a forge tells of it, under whatever id, whoever dies."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.events import CancelRequested
from pipelines.ids import RunId
from pipelines.rerun import rerun_id
from pipelines.trust import Author
from tests.unit.engine.test_comment_commands import World

pytestmark = pytest.mark.anyio

COMMENT = 7
# Each is durable; a host may die right after any of them.
CANCEL = ("comments.take", "history.append_input", "comments.finish", "comments.answer",
          "kept.tell")  # fmt: skip
RERUN = ("comments.take", "history.append_input", "history.create", "comments.finish",
         "comments.answer", "kept.tell")  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
async def world(tmp_path) -> World:
    """A pull request whose pipelines run at once, at a head that has run."""
    made = World(tmp_path)
    made.written_at = moment(made.history.now)
    await pushed(made, "first")
    return made


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


async def pushed(world: World, text: str) -> RunId:
    """The Run of another commit of the change."""
    world.head = world.push(text, author=Author.STRANGER)
    (run,) = (await world.opened(text)).runs
    return RunId(run)


async def cancels(world: World, run: str) -> list[CancelRequested]:
    inputs = [one.input for one in await world.history.inputs_after(RunId(run), 0)]
    return [one for one in inputs if isinstance(one, CancelRequested)]


async def attempts(world: World, run: RunId) -> list[RunId]:
    """The further ones."""
    made = [rerun_id(run, number, shards=4) for number in range(2, 6)]
    return [one for one in made if await world.history.started(one) is not None]


async def test_a_rerun_told_again_under_another_id_begins_nothing(world: World) -> None:
    run = await pushed(world, "head")
    await world.end(run)
    (second,) = (await world.comment("/staunch rerun", id_=COMMENT)).runs
    await world.end(second)
    replayed = await world.comment("/staunch rerun", delivery="replayed", id_=COMMENT)
    assert replayed.runs == [second]
    assert "comment 7 was seen to before, and is not a second time" in replayed.reason
    assert await attempts(world, run) == [second]


async def test_a_rerun_told_again_is_not_of_the_commit_that_was_pushed_since(world: World) -> None:
    run = await pushed(world, "head")
    await world.end(run)
    await world.comment("/staunch rerun", id_=COMMENT)
    newer = await pushed(world, "newer")
    await world.end(newer)
    await world.comment("/staunch rerun", delivery="replayed", id_=COMMENT)
    assert await attempts(world, newer) == []


async def test_a_cancel_told_again_leaves_what_was_pushed_since_alone(world: World) -> None:
    run = await pushed(world, "head")
    assert (await world.comment("/staunch cancel", id_=COMMENT)).state == "done"
    newer = await pushed(world, "newer")
    replayed = await world.comment("/staunch cancel", delivery="replayed", id_=COMMENT)
    assert (replayed.state, replayed.runs) == ("done", [])
    assert replayed.reason.endswith(f"ada (bb) had {run} cancelled")
    assert (len(await cancels(world, run)), await cancels(world, newer)) == (1, [])


async def test_what_was_refused_is_not_obeyed_when_it_is_told_again(world: World) -> None:
    run = await pushed(world, "head")
    assert "is not over" in await world.refusal("/staunch rerun", id_=COMMENT)
    await world.end(run)
    reason = await world.refusal("/staunch rerun", delivery="replayed", id_=COMMENT)
    assert "write a new one. It did nothing then:" in reason and "is not over" in reason
    assert await attempts(world, run) == []
    (told,) = world.comments.answers.values()
    assert "before" not in told.said


async def test_a_cancel_that_comes_late_is_of_what_ran_when_it_was_written(world: World) -> None:
    world.history.now += 3_600
    run = await pushed(world, "newer")
    reason = await world.refusal("/staunch cancel", id_=COMMENT)
    assert f"what runs now, {run}, began after the comment was written" in reason
    # Nor is a further attempt meant that began since, of a run that was there.
    written = world.history.now
    await world.end(run)
    world.history.now += 3_600
    (again,) = (await world.comment("/staunch rerun", delivery="rerun")).runs
    world.written_at = moment(written)
    assert again in await world.refusal("/staunch cancel", delivery="late")
    assert [await cancels(world, one) for one in (run, again)] == [[], []]
    # The clocks of two machines are never quite the same.
    world.written_at = moment(world.history.now - 20)
    assert (await world.comment("/staunch cancel", delivery="soon")).state == "done"


async def test_where_no_time_is_told_it_is_of_what_ran_when_it_first_came(world: World) -> None:
    world.written_at = "yesterday"
    run = await pushed(world, "head")
    assert (await world.comment("/staunch cancel", id_=COMMENT)).state == "done"
    assert len(await cancels(world, run)) == 1


@pytest.mark.parametrize("command", ["rerun", "approve", "cancel"])
async def test_of_two_deliveries_at_once_the_slower_one_does_nothing(
    world, monkeypatch, command
) -> None:
    run = await pushed(world, "head")
    if command == "cancel":
        await world.end(run)
    refused = await world.refusal(f"/staunch {command}", id_=COMMENT)
    (before,) = world.comments.commands.values()

    async def nothing_yet(repo: str, wish: str) -> None:
        """What both saw when they began."""

    # Meanwhile it would be obeyed.
    monkeypatch.setattr(world.comments, "taken", nothing_yet)
    if command == "cancel":
        run = await pushed(world, "newer")
    elif command == "rerun":
        await world.end(run)
    again = await world.comment(f"/staunch {command}", delivery="again", id_=COMMENT)
    assert again.runs == [] and refused.partition(": ")[2] in again.reason
    assert (await attempts(world, run), await cancels(world, run)) == ([], [])
    assert [*world.comments.commands.values()] == [before]


def dying(monkeypatch: pytest.MonkeyPatch, world: World, life: int) -> list[str]:
    """From now on the process is killed right after its durable write of this number."""
    written: list[str] = []

    def deadly(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        async def write_and_die(*given: Any, **options: Any) -> Any:
            answer = await write(*given, **options)
            written.append(name)
            if len(written) == life:
                raise Killed
            return answer

        return write_and_die

    for name in RERUN:
        part, _, method = name.partition(".")
        owner = getattr(world, part)
        monkeypatch.setattr(owner, method, deadly(name, getattr(owner, method)))
    return written


async def killed_and_back(
    world: World, monkeypatch: pytest.MonkeyPatch, command: str, life: int
) -> list[str]:
    """Take a comment, and die of it. What was written by then."""
    with monkeypatch.context() as patched:
        written = dying(patched, world, life)
        with pytest.raises(Killed):
            await world.comment(command, id_=COMMENT)
    return written


@pytest.mark.parametrize("life", range(1, len(CANCEL) + 1))
async def test_a_cancel_is_one_wherever_the_host_is_killed(world, monkeypatch, life) -> None:
    run = await pushed(world, "head")
    written = await killed_and_back(world, monkeypatch, "/staunch cancel", life)
    world.history.now += 60
    newer = await pushed(world, "newer")
    world.written_at = moment(world.history.now)
    again = await world.comment("/staunch cancel", id_=COMMENT, delivery="again")
    assert len(await cancels(world, run)) == 1, written
    assert await cancels(world, newer) == []
    assert again.state == "done" and f"had {run} cancelled" in again.reason
    (told,) = world.comments.answers.values()
    assert told.accepted


@pytest.mark.parametrize("life", range(1, len(RERUN) + 1))
async def test_a_rerun_is_one_wherever_the_host_is_killed(world, monkeypatch, life) -> None:
    run = await pushed(world, "head")
    await world.end(run)
    written = await killed_and_back(world, monkeypatch, "/staunch rerun", life)
    for made in await attempts(world, run):
        await world.end(made)
    newer = await pushed(world, "newer")
    await world.end(newer)
    again = await world.comment("/staunch rerun", id_=COMMENT, delivery="again")
    assert await attempts(world, run) == again.runs == [rerun_id(run, 2, shards=4)], written
    assert await attempts(world, newer) == []


async def test_the_deaths_above_are_all_that_there_are(world, monkeypatch) -> None:
    run = await pushed(world, "head")
    with monkeypatch.context() as patched:
        written = dying(patched, world, 0)
        await world.comment("/staunch cancel")
        assert written == [*CANCEL]
        await world.end(run)
        written.clear()
        await world.comment("/staunch rerun", delivery="rerun")
        assert written == [*RERUN]
