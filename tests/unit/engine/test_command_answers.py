"""Answers to commands in comments: who is told what, once; and what of a pull request waits."""

import pytest

from ci_host.ports import SourceUnavailable, Unavailable
from pipelines.status import Standing
from tests.unit.engine.test_comment_commands import OTHER, World
from webhooks.forge import Later

pytestmark = pytest.mark.anyio

PLACE = ("bb", "bb/4711", 12)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def answer(world: World):
    (one,) = world.comments.answers.values()
    assert (one.number, one.repo_name) == (12, "waterways/lock")
    assert one.comment.isdecimal()
    return one


async def test_what_was_obeyed_is_told_as_such(world: World) -> None:
    await world.approved()
    assert answer(world).accepted


async def test_what_was_refused_is_told_with_the_reason(world: World) -> None:
    await world.opened()
    outcome = await world.comment(f"/staunch ok-to-test {OTHER}")
    told = answer(world)
    assert not told.accepted and f"is at {world.head} by now" in told.said
    # `staunch deliveries` says whose it was besides.
    assert outcome.reason == f"/staunch ok-to-test by ada: {told.said}"


async def test_somebody_who_may_not_is_told_so_too(world: World) -> None:
    await world.comment("/staunch cancel", by="sam")
    assert "only who may write" in answer(world).said


async def test_nothing_is_answered_before_the_forge_has_said_who_it_is(world: World) -> None:
    world.pulls.writers["ada"] = Later("away")
    with pytest.raises(SourceUnavailable):
        await world.comment("/staunch rerun")
    assert world.comments.answers == {}


async def test_a_command_taken_twice_keeps_its_first_answer(world: World) -> None:
    run = await world.approved()
    world.comments.answers.clear()
    assert (await world.comment("/staunch cancel", delivery="c")).state == "done"
    await world.end(run)
    # The host had died before it had said what became of the delivery.
    again = await world.comment("/staunch cancel", delivery="c")
    assert "was seen to before" in again.reason
    assert answer(world).accepted


async def test_talk_is_not_answered(world: World) -> None:
    await world.comment("nice work")
    await world.comment("/staunch make me a sandwich")
    assert world.comments.answers == {}


async def test_an_answer_that_cannot_be_kept_undoes_nothing(world, monkeypatch) -> None:
    async def broken(answer) -> None:
        raise Unavailable("no server leads that stream")

    monkeypatch.setattr(world.comments, "answer", broken)
    assert await world.approved()


async def test_a_strangers_commit_that_waits_is_news_and_its_approval_too(world: World) -> None:
    await world.opened()
    _, report = await world.comments.read(*PLACE)
    assert report is not None and (report.commit, report.is_news) == (world.head, True)
    line = report.lines["staunch (pull request)"]
    assert line.standing is Standing.WAITING and "waits for an approval" in line.said
    await world.comment(f"/staunch ok-to-test {world.head}")
    _, report = await world.comments.read(*PLACE)
    line = report.lines["staunch (pull request)"]
    assert (line.standing, line.said) == (
        Standing.SUCCEEDED, "this commit was approved by ada (bb)"
    )  # fmt: skip


async def test_a_report_that_cannot_be_kept_delays_no_delivery(world, monkeypatch) -> None:
    async def broken(report, *, after: int) -> None:
        raise Unavailable("no server leads that stream")

    monkeypatch.setattr(world.comments, "write", broken)
    assert (await world.opened()).state == "held"
    assert [one.context for one in world.kept.statuses] == ["staunch (pull request)"]
