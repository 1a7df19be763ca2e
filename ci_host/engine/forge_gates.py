"""ForgeGates: gates that somebody answers with a button on a Forge.

What comes is a claim: that Run, that gate, that login. So the Run must be of the event's repository
and commit, the gate must be the very one whose button was shown, and the Forge's API must say that
the person may write to the repository; then they answer it as anybody does who logged in there,
under the same name. May be done twice: who has answered has answered.
"""

from ci_host.access import Token
from ci_host.engine.admissions import Admissions
from ci_host.engine.continuations import end_of_chain
from ci_host.engine.forge_reruns import told_run
from ci_host.engine.people import Answer, People, PersonRefused
from ci_host.ports import HistoryStore
from pipelines.event import Event
from pipelines.events import GateAnswered
from pipelines.ids import RunId
from pipelines.repo import Repo
from pipelines.status import gate_mark
from webhooks.forge import GatePress


class ForgeGates:
    """Over the Histories; the Forge is asked through `admissions`."""

    def __init__(self, admissions: Admissions, history: HistoryStore, people: People) -> None:
        self._admissions, self._history, self._people = admissions, history, people

    async def answer(self, repo: Repo, event: Event, press: GatePress) -> str:
        """Answer it; what was done, in words. `event` has the commit.

        Raises PersonRefused: not theirs to answer, or not to be answered any more. Raises
        SourceUnavailable, Unavailable: to be asked again.
        """
        first = await told_run(self._history, repo, event, press.run)
        run = await end_of_chain(self._history, first)
        await self._admissions.check_writer(repo, press.login)
        # As whoever logs in at that Forge is called here, and named at gates.
        name = f"{press.login}@{repo.connection}"
        who = Token(digest="", name=name, connection=repo.connection, login=press.login)
        said = "approved" if press.approved else "rejected"
        if (key := await self._answered(run, press, name)) is None:
            key = await self._open(run, press)
            await self._people.answer_gate(run, key, who, Answer(press.approved, {}))
        return f"{name} {said} gate {key!r} of run {run}"

    async def _answered(self, run: RunId, press: GatePress, name: str) -> str | None:
        """The gate, if this person has given this very answer there: the call came once before."""
        for stored in await self._history.inputs_after(run, 0):
            one = stored.input
            if not isinstance(one, GateAnswered) or gate_mark(run, one.key) != press.mark:
                continue
            if (one.by, one.approved) == (name, press.approved):
                return one.key
        return None

    async def _open(self, run: RunId, press: GatePress) -> str:
        last = await self._history.last_turn(run)
        open_ = [] if last is None else [gate.key for gate in last.turn.open.gates]
        for key in open_:
            if gate_mark(run, key) == press.mark:
                return key
        raise PersonRefused(
            409,
            f"the gate of that button is not open any more; run {run} waits at"
            f" {', '.join(open_) or 'no gate now'}",
        )
