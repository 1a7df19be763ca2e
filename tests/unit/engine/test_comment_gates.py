"""Gates opened with a comment: that very gate, of the head, by whoever might press its button."""

from dataclasses import replace

import msgspec
import pytest

from ci_host.engine.comment_gates import CommentGates
from ci_host.engine.people import People, PersonRefused
from ci_host.ports import SourceUnavailable
from pipelines.events import GateAnswered
from pipelines.ids import RunId
from pipelines.repo import DeliveryOutcome
from pipelines.rerun import rerun_id
from pipelines.trust import Author
from pipelines.turn import Turn
from tests.unit.engine.test_commands_once import Killed, dying, moment, pushed
from tests.unit.engine.test_comment_commands import World
from tests.unit.engine.test_forge_gates import gated
from webhooks.forge import Command, CommandWord, Later

pytestmark = pytest.mark.anyio

APPROVE = "/staunch approve"
WRITES = ("comments.take", "history.append_input", "comments.finish", "comments.answer",
          "kept.tell")  # fmt: skip


@pytest.fixture
async def world(tmp_path) -> World:
    """A pull request whose pipelines run at once; a comment is written ten seconds from now."""
    made = World(tmp_path)
    made.written_at = moment(made.history.now + 10)
    return made


async def waits(world: World, *keys: str, run: RunId | None = None, **terms) -> RunId:
    """A Run of the head that waits at these gates, since now."""
    run = run or await pushed(world, "head")
    turns = [gated(key, **terms) for key in keys]
    both = msgspec.structs.replace(
        turns[0],
        now=world.history.now,
        commands=[command for one in turns for command in one.commands],
        open=msgspec.structs.replace(
            turns[0].open, gates=[gate for one in turns for gate in one.open.gates]
        ),
    )
    await world.history.append_turn(run, both, after=0)
    return run


async def answers(world: World, run: RunId) -> list[tuple[str, str, bool]]:
    inputs = [one.input for one in await world.history.inputs_after(run, 0)]
    return [(i.key, i.by, i.approved) for i in inputs if isinstance(i, GateAnswered)]


async def opens(world: World, body: str, run: RunId, key: str) -> DeliveryOutcome:
    outcome = await world.comment(body, delivery=body)
    assert (outcome.state, outcome.runs) == ("done", []), outcome.reason
    assert outcome.reason == f"ada@bb approved gate {key!r} of run {run}"
    assert await answers(world, run) == [(key, "ada@bb", True)]
    return outcome


async def test_the_only_gate_that_waits_needs_no_name(world: World) -> None:
    run = await waits(world, "go-live")
    await opens(world, APPROVE, run, "go-live")
    (told,) = world.comments.answers.values()
    assert (told.accepted, told.word) == (True, "approve")


@pytest.mark.parametrize(
    ("key", "rest"),
    [
        ("go live", "go live"),
        ("eu/go-live#2", "eu/go-live#2"),
        ('"$(id)" *', '"$(id)" *'),
        ("go-live", "staunch/pipeline (pull request)/go-live"),
    ],
)
async def test_of_several_one_is_opened_by_its_name_as_it_is_written(world, key, rest) -> None:
    run = await waits(world, "canary", key)
    await opens(world, f"{APPROVE} {rest}", run, key)


async def test_several_without_a_name_are_refused_with_their_names(world: World) -> None:
    run = await waits(world, "canary", "go-live")
    reason = await world.refusal(APPROVE)
    assert (
        "2 gates wait, staunch/pipeline (pull request)/canary,"
        " staunch/pipeline (pull request)/go-live: write which" in reason
    )
    reason = await world.refusal(f"{APPROVE} golive", delivery="2")
    assert "no gate 'golive' waits; these do: staunch/pipeline (pull request)/canary" in reason
    assert await answers(world, run) == []


async def test_where_no_gate_waits_that_is_said(world: World) -> None:
    await pushed(world, "head")
    reason = await world.refusal(f"{APPROVE} go-live")
    assert f"no gate of commit {world.head} waits for an answer" in reason


async def test_who_may_not_write_opens_nothing_and_a_silent_forge_is_asked_again(world) -> None:
    run = await waits(world, "go-live")
    assert "only who may write" in await world.refusal(APPROVE, by="sam")
    world.pulls.writers["ada"] = Later("away")
    with pytest.raises(SourceUnavailable):
        await world.comment(APPROVE, delivery="2")
    assert await answers(world, run) == []
    # It was not their answer: it is taken once the forge says who it is.
    world.pulls.writers["ada"] = True
    assert (await world.comment(APPROVE, delivery="2")).state == "done"


async def test_a_gate_with_approvers_is_opened_by_those_that_it_names_with_their_forge(world):
    run = await waits(world, "go-live", approvers=["ada", "grace@bb", "@ops"])
    assert "ada@bb may not answer gate 'go-live'" in await world.refusal(APPROVE)
    world.pulls.writers["grace"] = True
    assert (await world.comment(APPROVE, by="grace", delivery="2")).state == "done"
    assert await answers(world, run) == [("go-live", "grace@bb", True)]


async def test_who_caused_the_run_may_not_open_it_where_somebody_else_must(world: World) -> None:
    run = await waits(world, "go-live", barred=["Ada"])
    assert "somebody else must" in await world.refusal(APPROVE)
    assert await answers(world, run) == []


async def test_an_account_that_events_call_otherwise_is_known_by_that_too(world: World) -> None:
    run = await waits(world, "go-live", barred=["Ada Lovelace"])
    people = People(world.history, now=lambda: world.history.now, new_id=lambda: "id")
    gates = CommentGates(world.history, people, "")
    uuid = "1b0c3a5b-e2d9-4c77-86ab-01c2d3e4f506"
    asked = Command(CommandWord.APPROVE, 12, uuid, person="ada lovelace")
    with pytest.raises(PersonRefused, match="ada lovelace may not answer gate 'go-live'"):
        await gates.open(world.kept.known, run, "go-live", asked)
    assert await answers(world, run) == []
    assert await gates.open(world.kept.known, run, "go-live", replace(asked, person="grace"))


async def test_a_gate_that_asks_for_something_is_answered_on_its_page(world: World) -> None:
    run = await waits(world, "go-live", inputs={"percent": "int"})
    reason = await world.refusal(APPROVE)
    assert "gate 'go-live' asks for percent, which no comment can give" in reason
    assert reason.endswith(f"answer it at https://ci.example/runs/{run}")


async def test_a_gate_that_opened_after_the_comment_is_not_the_one_that_is_meant(world) -> None:
    world.history.now += 60
    run = await waits(world, "go-live")
    exact = f"{APPROVE} go-live {world.head}"
    for number, body in enumerate((APPROVE, f"{APPROVE} go-live", f"{APPROVE} {world.head}")):
        reason = await world.refusal(body, delivery=f"early {number}")
        assert f"was not open yet when the comment was written; look at what it is about, and" \
               f" write `{exact}`" in reason  # fmt: skip
    world.written_at = "some day"
    reason = await world.refusal(APPROVE, delivery="timeless")
    assert f"the forge does not say when the comment was written; write `{exact}`" in reason
    # All of it is named: it can be no other.
    await opens(world, exact, run, "go-live")


async def test_what_was_pushed_since_is_not_opened(world: World) -> None:
    old = await waits(world, "go-live")
    head = world.head
    world.history.now += 60
    new = await waits(world, "go-live", run=await pushed(world, "newer"))
    assert "was not open yet" in await world.refusal(f"{APPROVE} go-live")
    reason = await world.refusal(f"{APPROVE} go-live {head}", delivery="2")
    assert f"is at {world.head} by now, and not at {head}" in reason
    assert await answers(world, old) == await answers(world, new) == []


async def test_of_a_run_that_was_begun_again_the_newest_attempt_is_meant(world: World) -> None:
    run = await pushed(world, "head")
    await world.end(run)
    (second,) = (await world.comment("/staunch rerun", delivery="rerun")).runs
    assert second == rerun_id(run, 2, shards=4)
    await waits(world, "go-live", run=RunId(second))
    await opens(world, APPROVE, RunId(second), "go-live")


async def test_nothing_is_opened_of_a_commit_that_waits_for_an_approval(world: World) -> None:
    world.head = world.push("held", author=Author.NEWCOMER)
    assert (await world.opened()).state == "held"
    assert "nothing of it may run" in await world.refusal(APPROVE)


async def test_a_comment_told_again_opens_no_later_gate(world: World) -> None:
    run = await waits(world, "canary")
    await world.comment(APPROVE, id_=7)
    later = msgspec.structs.replace(gated("go-live"), number=2, now=world.history.now)
    await world.history.append_turn(run, later, after=await newest(world, run))
    again = await world.comment(APPROVE, delivery="replayed", id_=7)
    assert again.state == "done" and "comment 7 was seen to before" in again.reason
    assert await answers(world, run) == [("canary", "ada@bb", True)]


@pytest.mark.parametrize("life", range(1, len(WRITES) + 1))
async def test_it_is_one_answer_wherever_the_host_is_killed(world, monkeypatch, life) -> None:
    run = await waits(world, "canary", needed=2)
    with monkeypatch.context() as patched:
        written = dying(patched, world, life)
        with pytest.raises(Killed):
            await world.comment(APPROVE, id_=7)
    assert written == [*WRITES[:life]]
    # Meanwhile the engine goes on, and another gate waits.
    later = msgspec.structs.replace(gated("go-live"), number=2, now=world.history.now)
    if "history.append_input" in written:
        await world.history.append_turn(run, later, after=await newest(world, run))
    again = await world.comment(APPROVE, id_=7, delivery="again")
    assert again.state == "done" and "approved gate 'canary'" in again.reason
    assert await answers(world, run) == [("canary", "ada@bb", True)]


async def newest(world: World, run: RunId) -> int:
    last = await world.history.last_turn(run)
    assert last is not None and isinstance(last.turn, Turn)
    return last.sequence
