"""Commands in comments: what they do, for whom, and at which commit of the pull request."""

import msgspec
import pytest

from ci_host.ports import SourceUnavailable
from pipelines.events import CancelRequested
from pipelines.ids import RunId
from pipelines.repo import DeliveryOutcome
from pipelines.run import RunState
from pipelines.trust import Author, PullFacts, Tier
from pipelines.turn import End
from tests.contract.test_history_store import turn
from tests.engine.delivery_world import PIPELINE, DeliveryWorld
from webhooks.forge import Later, Refused

pytestmark = pytest.mark.anyio

ID = "4711"
OTHER = "d" * 40


def comment_id(delivery: str) -> int:
    """That of a comment that came with this delivery."""
    return int.from_bytes(delivery.encode()[:6])


class World(DeliveryWorld):
    """Pull request 12 of a newcomer's fork, at `head`, and comments on it."""

    def __init__(self, folder) -> None:
        super().__init__(folder, ID)
        self.checkout.commit(PIPELINE)
        self.checkout.push()
        self.head = self.push("one")
        self.pulls.writers = {"ada": True, "sam": False}
        self.written_at = "2026-11-26T12:00:00Z"

    def push(self, text: str, **facts) -> str:
        """Another commit of the change; the forge's API knows it at once."""
        head = self.checkout.commit({**PIPELINE, "change": text})
        self.checkout.git("push", "-q", "-f", "origin", "HEAD:refs/pull/12/head")
        known = PullFacts(
            head_repo="99",
            base_repo=ID,
            base_ref="main",
            head_commit=head,
            author=Author.NEWCOMER,
            head_ref="change",
        )
        self.pulls.told[12] = msgspec.structs.replace(known, **facts)
        return head

    async def opened(self, delivery: str = "pull") -> DeliveryOutcome:
        """The webhook of the pull request at its head."""

        def change(payload):
            payload["pull_request"].update(number=12)
            payload["pull_request"]["head"]["sha"] = self.head
            payload["pull_request"]["base"]["ref"] = "main"
            payload["repository"]["id"] = int(ID)

        return await self.take("github/pull_request_fork", change, delivery)

    async def comment(
        self, body: str, *, by: str = "ada", delivery: str = "comment", id_: int | None = None
    ) -> DeliveryOutcome:
        """A comment; `id_`: the forge's of it, else one for each delivery."""

        def change(payload):
            payload["comment"]["body"] = body
            payload["comment"]["id"] = id_ or comment_id(delivery)
            payload["comment"]["created_at"] = self.written_at
            payload["comment"]["user"]["login"] = by

        return await self.take("github/issue_comment_rerun", change, delivery)

    async def refusal(self, body: str, **options) -> str:
        """Why the comment did nothing at all."""
        outcome = await self.comment(body, **options)
        assert (outcome.state, outcome.runs) == ("ignored", [])
        return outcome.reason

    async def approved(self) -> RunId:
        """The Run of the head, let run by a comment."""
        await self.opened()
        outcome = await self.comment(f"/staunch ok-to-test {self.head}", delivery="ok")
        (run,) = outcome.runs
        return RunId(run)

    async def end(self, run: str, state: RunState = RunState.FAILED) -> None:
        last = msgspec.structs.replace(turn(1), state=state, end=End(state=state))
        await self.history.append_turn(RunId(run), last, after=0)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


async def test_ok_to_test_by_a_writer_lets_that_very_commit_run_and_trusts_it_no_more(world):
    assert (await world.opened()).state == "held"
    outcome = await world.comment(f"/staunch ok-to-test {world.head}\nIt is fine.")
    assert outcome.state == "started"
    assert outcome.reason == f"ada (bb) approved commit {world.head}"
    started = await world.started(outcome)
    assert started.event.commit == world.head
    assert (started.tier, started.verdict.by) == (Tier.UNTRUSTED, "ada (bb)")
    # The same call once more, and another comment that says the same.
    again = await world.comment(f"/staunch ok-to-test {world.head}")
    other = await world.comment(f"/staunch ok-to-test {world.head}", delivery="another")
    assert again.runs == other.runs == outcome.runs


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (False, "sam may not, as the forge says"),
        (Refused("it answered 403"), "the forge does not say what sam may do: it answered 403"),
        (None, "connection bb has no API"),
    ],
)
async def test_who_may_not_write_commands_nothing_whatever_the_payload_says(world, told, said):
    await world.opened()
    world.pulls.writers = {} if told is None else {"sam": told}
    for command in (f"ok-to-test {world.head}", "rerun", "cancel"):
        reason = await world.refusal(f"/staunch {command}", by="sam", delivery=command)
        assert "only who may write to waterways/lock may command anything here" in reason
        assert said in reason
    assert (await world.opened("again")).state == "held"


async def test_while_the_forge_does_not_answer_nothing_is_decided(world):
    await world.opened()
    world.pulls.writers["ada"] = Later("it is away")
    with pytest.raises(SourceUnavailable):
        await world.comment(f"/staunch ok-to-test {world.head}")
    world.pulls.told[12] = Later("it is away")
    with pytest.raises(SourceUnavailable):
        await world.comment("/staunch rerun")
    assert [one.id for one in world.kept.outcomes] == ["pull"]


async def test_a_commit_that_was_pushed_over_meanwhile_is_not_approved(world):
    await world.opened()
    newer = world.push("two")
    reason = await world.refusal(f"/staunch ok-to-test {world.head}")
    assert f"is at {newer} by now, and not at {world.head}" in reason
    # The API knows of the push before its webhook is here: what is held is the old commit.
    reason = await world.refusal(f"/staunch ok-to-test {newer}", delivery="early")
    assert f"pull request 12 is at {world.head} by now" in reason
    world.head = newer
    assert (await world.opened("pushed")).state == "held"
    assert (await world.comment(f"/staunch ok-to-test {newer}", delivery="late")).runs


async def test_what_waits_for_nobody_needs_no_approval(world):
    reason = await world.refusal(f"/staunch ok-to-test {world.head}")
    assert "no commit of pull request 12 of waterways/lock waits" in reason


async def test_nothing_is_commanded_on_a_pull_request_that_is_closed_or_unknown(world):
    world.push("closed", is_open=False)
    assert "pull request 12 is closed" in await world.refusal("/staunch rerun")
    # What still runs of it can be ended.
    assert "is closed" not in await world.refusal("/staunch cancel", delivery="stop")
    del world.pulls.told[12]
    reason = await world.refusal("/staunch rerun", delivery="unknown")
    assert "the forge says nothing of pull request 12" in reason


async def test_rerun_begins_another_attempt_of_the_head_once_for_each_comment(world):
    run = await world.approved()
    assert "is not over" in await world.refusal("/staunch rerun", delivery="early")
    await world.end(run)
    outcome = await world.comment("/staunch rerun", delivery="one")
    again = await world.comment("/staunch rerun", delivery="one")
    assert outcome.runs == again.runs != [run]
    started = await world.started(outcome)
    assert (started.rerun.of, started.rerun.attempt, started.rerun.by) == (run, 2, "ada")
    assert started.tier is Tier.UNTRUSTED
    await world.end(outcome.runs[0])
    third = await world.comment(f"/staunch rerun {world.head}", delivery="two")
    assert (await world.started(third)).rerun.attempt == 3


async def test_rerun_is_of_the_head_and_of_no_other_commit(world):
    await world.approved()
    assert f"is at {world.head} by now" in await world.refusal(f"/staunch rerun {OTHER}")


async def test_nothing_is_run_again_of_a_commit_that_waits_or_never_ran(world):
    await world.opened()
    assert "nothing of it may run" in await world.refusal("/staunch rerun")
    world.push("ours", head_repo=ID)
    assert "nothing has run of its commit" in await world.refusal("/staunch rerun", delivery="2")


async def test_cancel_asks_all_attempts_that_are_not_over_to_end_and_says_which(world):
    run = await world.approved()
    await world.end(run)
    second = (await world.comment("/staunch rerun", delivery="again")).runs[0]
    outcome = await world.comment("/staunch cancel", delivery="stop")
    assert (outcome.state, outcome.runs) == ("done", [])
    assert outcome.reason == f"ada (bb) had {second} cancelled"
    inputs = [one.input for one in await world.history.inputs_after(RunId(second), 0)]
    (asked,) = [one for one in inputs if isinstance(one, CancelRequested)]
    assert asked.by == "ada (bb)"
    await world.end(second, RunState.CANCELLED)
    assert "all of its runs are over" in await world.refusal("/staunch cancel", delivery="late")


async def test_of_a_branch_of_the_repository_the_runs_of_its_push_are_meant_too(world):
    commit = world.push("ours", head_repo=ID)
    world.checkout.push("change")

    def pushed(payload):
        payload.update(ref="refs/heads/change", after=commit)
        payload["repository"]["id"] = int(ID)

    (run,) = (await world.take("github/push", pushed, "push")).runs
    outcome = await world.comment("/staunch cancel")
    assert outcome.reason == f"ada (bb) had {run} cancelled"


async def test_on_a_strangers_change_the_pipelines_of_the_branch_it_is_for_are_run_again(world):
    world.head = world.push("stranger", author=Author.STRANGER)
    (run,) = (await world.opened()).runs
    await world.end(run)
    outcome = await world.comment("/staunch rerun")
    assert (await world.started(outcome)).rerun.of == run
