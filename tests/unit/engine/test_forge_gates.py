"""Gates answered with a button on a Forge: that very gate, by who may, once."""

import msgspec
import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.trust import MemoryPulls, MemoryTrust
from ci_host.engine.admissions import Admissions
from ci_host.engine.forge_gates import ForgeGates
from ci_host.engine.people import People, PersonRefused
from ci_host.engine.statuses import statuses_of
from ci_host.ports import SourceUnavailable
from pipelines.commands import Command, GateTerms, InputRule, Open, OpenGate, OpenGroup, StepKind
from pipelines.event import Event, EventKind
from pipelines.events import GateAnswered
from pipelines.group import GroupPolicy
from pipelines.ids import successor_id
from pipelines.repo import Repo
from pipelines.run import RunState
from pipelines.status import Standing, gate_mark
from pipelines.turn import End
from pipelines.usage import Usage
from tests.contract.test_history_store import RUN, first, turn
from webhooks.forge import GatePress, Later

pytestmark = pytest.mark.anyio

REPO = Repo(id="git/1", connection="git", external_id="1", name="demo", clone_url="/demo")
COMMIT = first().event.commit


class Nowhere:
    """No Source is asked."""


def gated(key: str = "deploy", **terms):
    """A Turn that opens a gate."""
    given = GateTerms(**terms)
    asked = Command(kind=StepKind.GATE, key=key, fingerprint=key, gate=given)
    wants = Open(gates=[OpenGate(key=key, terms=given)])
    return msgspec.structs.replace(turn(1, through=1), commands=[asked], open=wants)


class World:
    def __init__(self) -> None:
        self.history, self.pulls = MemoryHistory(), MemoryPulls()
        self.pulls.writers = {"ada": True, "sam": False}
        people = People(self.history, now=lambda: 5.0, new_id=lambda: "id")
        admissions = Admissions(MemoryTrust(), self.pulls, Nowhere(), now=lambda: 5.0)
        self.gates = ForgeGates(admissions, self.history, people)

    async def waits(self, run=RUN, **terms) -> None:
        await self.history.create(run, first(run))
        await self.history.append_turn(run, gated(**terms), after=0)

    async def press(self, *, by: str = "ada", approved: bool = True, run: str = RUN,
                    mark: str = gate_mark(RUN, "deploy"), commit: str = COMMIT) -> str:  # fmt: skip
        event = Event(kind=EventKind.MANUAL, commit=commit, sender=by)
        return await self.gates.answer(REPO, event, GatePress(run, mark, approved, by))

    async def answers(self, run=RUN) -> list[tuple[str, str, bool]]:
        inputs = [one.input for one in await self.history.inputs_after(run, 0)]
        return [(i.key, i.by, i.approved) for i in inputs if isinstance(i, GateAnswered)]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("approved", [True, False])
async def test_a_press_answers_that_gate_in_the_name_of_who_pressed(world, approved) -> None:
    await world.waits()
    said = await world.press(approved=approved)
    assert said.startswith(f"ada@git {'approved' if approved else 'rejected'} gate 'deploy'")
    assert await world.answers() == [("deploy", "ada@git", approved)]


async def test_the_same_press_told_twice_is_one_answer_also_when_the_run_has_gone_on(world) -> None:
    await world.waits()
    said = await world.press()
    assert await world.press() == said
    # The engine has taken the answer, the gate is gone, and the host had died before it said so.
    await world.history.append_turn(RUN, turn(2, through=2), after=2)
    assert await world.press() == said
    assert len(await world.answers()) == 1


async def test_who_may_not_write_answers_nothing_and_a_silent_forge_is_asked_again(world) -> None:
    await world.waits()
    with pytest.raises(PersonRefused, match="only who may write"):
        await world.press(by="sam")
    world.pulls.writers["ada"] = Later("away")
    with pytest.raises(SourceUnavailable):
        await world.press()
    assert await world.answers() == []


async def test_a_gate_with_approvers_is_opened_by_those_that_it_names(world) -> None:
    await world.waits(approvers=["ada", "grace@git"])
    with pytest.raises(PersonRefused, match="may not answer gate 'deploy'"):
        await world.press()
    world.pulls.writers["grace"] = True
    assert "grace@git approved" in await world.press(by="grace")


async def test_who_caused_the_run_may_not_answer_where_somebody_else_must(world) -> None:
    # What a push names is the bare login; who logs in there has the connection behind it.
    await world.waits(barred=["Ada"])
    with pytest.raises(PersonRefused, match="somebody else must"):
        await world.press()


@pytest.mark.parametrize(
    "change",
    [{"commit": "b" * 40}, {"run": "1-0123456789abcdef0123"}, {"run": "*"}],
    ids=["another commit", "another run", "no run"],
)
async def test_a_claim_that_is_not_so_answers_nothing(world, change) -> None:
    await world.waits()
    with pytest.raises(PersonRefused, match="no run"):
        await world.press(**change)
    assert await world.answers() == []


async def test_the_button_of_an_earlier_gate_does_not_open_a_later_one(world) -> None:
    await world.waits(key="canary")
    with pytest.raises(PersonRefused, match=r"is not open any more.*waits at canary"):
        await world.press()
    # Nor the gate of that name in a Run that goes on where another ended.
    end = End(state=RunState.CONTINUED)
    over = msgspec.structs.replace(turn(2), state=end.state, end=end)
    await world.history.append_turn(RUN, over, after=2)
    await world.waits(successor_id(RUN))
    with pytest.raises(PersonRefused, match="is not open any more"):
        await world.press()
    newest = successor_id(RUN)
    assert await world.press(mark=gate_mark(newest, "deploy"))
    assert await world.answers(newest) == [("deploy", "ada@git", True)]


@pytest.mark.parametrize(
    ("terms", "has_one"),
    [
        ({}, True),
        ({"approvers": ["grace@git", "ops"]}, True),
        ({"approvers": ["grace", "@ops"]}, False),
        ({"approvers": ["grace@hub"]}, False),
        ({"inputs": {"n": "int"}}, False),
        ({"inputs": {"n": "int"}, "rules": {"n": InputRule(required=False, default=2)}}, True),
        ({"inputs": {"n": "int"}, "rules": {"n": InputRule()}}, False),
    ],
)
def test_a_button_is_shown_where_a_press_could_open_the_gate(terms, has_one) -> None:
    told = [one for one in statuses_of(first(), gated(**terms), "http://ci") if one.summary]
    assert [one.gate for one in told] == [gate_mark(RUN, "deploy") if has_one else ""]
    assert told[0].standing is Standing.WAITING


def test_a_run_is_queued_until_it_is_let_into_its_group() -> None:
    group = OpenGroup(key="deploy", policy=GroupPolicy.QUEUE)
    outside = msgspec.structs.replace(turn(1), open=Open(group=group))
    (told,) = statuses_of(first(), outside, "http://ci")
    assert (told.standing, told.description) == (Standing.QUEUED, "waits for its turn in deploy")
    within = Open(group=msgspec.structs.replace(group, entered=True))
    asked = [Command(kind=StepKind.JOB, key="unit", fingerprint="unit")]
    let_in = msgspec.structs.replace(
        turn(2), open=within, commands=asked, usage=Usage(events=2, steps=1)
    )
    (told,) = statuses_of(first(), let_in, "http://ci")
    assert (told.standing, told.description) == (Standing.RUNNING, "running")
    later = msgspec.structs.replace(let_in, number=3, usage=Usage(events=3, steps=2))
    assert list(statuses_of(first(), later, "http://ci")) == []
