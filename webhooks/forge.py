"""Forge: the port behind which each forge hides its names, headers, signatures and API.

What is told about one commit lives in `pipelines.status`; what happened in `pipelines.event`.
Adding a forge means one folder with a `Forge`, an entry in `registry.py`, and payloads in tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pipelines.event import Event
from pipelines.events import Fork
from pipelines.priority import Priority
from pipelines.repo import Connection, ForgeKind, Repo
from pipelines.shell import Wait
from pipelines.status import Status
from pipelines.supposed import Supposed
from pipelines.trust import PullFacts


@dataclass(frozen=True, slots=True)
class Sought:
    """A commit that the payload does not name by its full id, and the ref to fetch to find it.

    `name` is the beginning of its id (12 digits or more), the id of a tag object, or the whole id
    where only `ref` is sure to lead to it; empty: whichever `ref` leads to now.
    """

    name: str
    ref: str


@dataclass(frozen=True, slots=True)
class Again:
    """Somebody at the forge wants Runs once more: `run`, or all whose checks a `suite` shows.

    Claims, both: whether they are of the event's repository and commit is still to be seen.
    `failed_only`: what succeeded is taken over.
    """

    run: str = ""
    suite: str = ""
    failed_only: bool = False


@dataclass(frozen=True, slots=True)
class GatePress:
    """`login` pressed a button at a gate: `mark` names it, of the chain of Runs that `run` began.

    Claims, both; and whether that person may answer it is still to be asked.
    """

    run: str
    mark: str
    approved: bool
    login: str


class CommandWord(StrEnum):
    """What may be asked in a comment on a pull request."""

    OK_TO_TEST = "ok-to-test"
    RERUN = "rerun"
    CANCEL = "cancel"
    APPROVE = "approve"


@dataclass(frozen=True, slots=True)
class Command:
    """A wish that `login` wrote under a pull request. Whether that person may wish anything is
    asked of the forge. `commit`: the one that is meant, in full; empty: whichever it is at.
    `comment`: the forge's id of it; empty: not known. `at`: when it was written, in seconds since
    the epoch by the forge's clock; 0: not known. `gate`: what the one to be opened is called;
    empty: the only one. `person`: what the forge's events call them, where that is not `login`."""

    word: CommandWord
    number: int
    login: str
    commit: str = ""
    comment: str = ""
    at: float = 0.0
    gate: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """One event and the repository it happened in: the forge's own id, and its name today.

    `pipeline` names the only one that is asked for; empty: whichever wants the event. `inputs` is
    what a person gave with a manual start; `fork`: what that is to be made from. `priority` None:
    nobody said another than what the pipeline declares, or than what is forked had. `wait`: the
    Run's Jobs wait for a terminal after a step that failed. `supposed`: not all Steps are done.
    `sought`: the event's commit is empty
    and has to be found so; a parser asks nobody. `again`: of the event only the commit and the
    sender count. `press`: only the commit. `command`: only the ref, which is that of the pull
    request's head. `is_tried`: somebody wants to know of every pipeline what the event does to it.
    """

    external_id: str
    name: str
    event: Event
    pipeline: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    fork: Fork | None = None
    priority: Priority | None = None
    wait: Wait | None = None
    supposed: Supposed | None = None
    sought: Sought | None = None
    again: Again | None = None
    press: GatePress | None = None
    command: Command | None = None
    is_tried: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """A verified call that asks for nothing; `reason` completes "ignored, because …"."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The forge has the Status."""


@dataclass(frozen=True, slots=True)
class Later:
    """A passing fault: try again after `retry_after_s`; None: the forge named no time.

    `broke`: the forge itself failed at this very request, and may do so each time.
    """

    reason: str
    retry_after_s: float | None = None
    broke: bool = False


@dataclass(frozen=True, slots=True)
class SendLater:
    """Try again in `retry_after_s`, which the sender has decided; `reason` says what was wrong.

    `broke`: see Later.
    """

    reason: str
    retry_after_s: float
    broke: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The forge will never take this Status as it is; `reason` says why and what to do.

    `nobody`: there is no forge to tell, and nobody chose to have one told.
    """

    reason: str
    nobody: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Whoever is there wants nothing any more; `reason` is what it said."""

    reason: str


Told = Sent | Later | Refused


class Permission(StrEnum):
    """What an account of a forge may do in a repository there."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody of a forge: the forge's own id of them, which stays, and their name of today."""

    id: str
    login: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a pull request that our own account wrote: the forge's id, and its text."""

    id: str
    text: str


class PullComments(Protocol):
    """What one forge lets our account write under its pull requests.

    Never raises for what a forge or a network does. A text is Markdown.
    """

    async def ours(self, repo: Repo, number: int) -> list[Comment] | Later | Refused:
        """All that our own account wrote there, the oldest first; what others wrote never."""
        ...

    async def create(self, repo: Repo, number: int, text: str) -> Comment | Later | Refused:
        """Add one. After `Later` it may be there or not: look."""
        ...

    async def update(
        self, repo: Repo, number: int, comment: str, text: str
    ) -> bool | Later | Refused:
        """Replace its text; False: it is not there any more."""
        ...

    async def react(self, repo: Repo, number: int, comment: str) -> Sent | Later | Refused:
        """Show a thumb on anybody's comment; harmless if it is there."""
        ...


class MemberReader(Protocol):
    """One forge's API, asked what an account may do."""

    async def permission(self, repo: Repo, who: Account) -> Permission | Later | Refused:
        """What is so now, of this very repository and account, whoever has their names by now.

        Never raises for what network or forge do. Refused: nobody knows; it counts as none.
        """
        ...


class Forge(Protocol):
    """What a forge's webhooks mean. All of it is pure: no I/O, no clock, no state.

    Header names are lower case. `verify` comes before anything else is believed.
    """

    kind: ForgeKind

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
    ) -> None:
        """Raise Unverified unless one of `secrets` signed these raw bytes.

        Several secrets are a rotation in progress; with none, nothing is ever accepted. `now` is
        used only by forges whose signature covers a time.
        """

    def delivery_id(self, headers: Mapping[str, str]) -> str:
        """What names this call; the same when the forge sends it again. Empty: it has none."""

    def event_name(self, headers: Mapping[str, str]) -> str:
        """The forge's own name for what happened; empty where the header is absent."""

    def ignores(self, event: str) -> Ignored | None:
        """Why calls of this name are not even kept, or None: keep it and `parse` it later."""

    def parse(self, event: str, body: str | bytes) -> list[ParsedEvent] | Ignored:
        """The events in a payload, in the forge's order. Raises Malformed and nothing else.

        Facts only: whether anybody may be trusted is asked of the forge's API, not of a payload.
        """


class StatusClient(Protocol):
    """Tells one forge about commits.

    Never raises for what a forge or a network does: every outcome is a record. Telling the same
    Status twice is harmless, so after `Later` it is simply told again.
    """

    async def post_status(self, status: Status) -> Told:
        """Tell it once; no retries in here."""


@dataclass(frozen=True, slots=True)
class OpenPulls:
    """Those that are open now, as events without an action. `etag`: by which to ask whether they
    have changed; empty: nobody can. `good_s`: for so many seconds one does not ask again."""

    events: list[Event]
    etag: str = ""
    good_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Unchanged:
    """It is as it was when the etag was given that was asked with. GitHub counts no such answer."""


@dataclass(frozen=True, slots=True)
class Changed:
    """When repositories last changed, by the forge's own id of each, in seconds since the epoch by
    its own clock. Of those that are not in it nothing is said.

    `pulls`: when a pull request of each changed, where that is another list. `heads`: whether a
    repository counts as changed when a fork's open pull request to it has new commits. `is_whole`
    False: there were more than are read.
    """

    stamps: Mapping[str, float]
    pulls: Mapping[str, float] = field(default_factory=dict)
    heads: bool = False
    is_whole: bool = True


class ChangeReader(Protocol):
    """Asks one forge's API which repositories changed lately. Never raises for what it does."""

    async def changed(self, since: float, *, whole: bool) -> Changed | Later | Refused:
        """Those that changed since then, by the forge's clock; `whole`: all that it lists."""
        ...


class PullReader(Protocol):
    """Asks one forge's API about pull requests. Never raises for what a forge or a network does."""

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused:
        """What is so now, by the answers of the API alone."""

    async def open_pulls(
        self, repo: Repo, known: str
    ) -> OpenPulls | Unchanged | Later | Refused | None:
        """Those that are open now; of very many, those that changed last. `known`: the etag of the
        answer before, or empty. None: this forge's are not listed."""

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused:
        """Whether somebody of that login may push to the repository now.

        Refused: the forge does not say; nobody may anything because of that.
        """


@dataclass(frozen=True, slots=True)
class FoundRepo:
    """A repository as its forge's API knows it. `may_hook`: whether the token may add a webhook;
    None: the forge does not say."""

    external_id: str
    name: str
    clone_url: str
    default_branch: str = ""
    may_hook: bool | None = None


@dataclass(frozen=True, slots=True)
class MadeHook:
    """A webhook that is there now. `is_new`: it was not there before."""

    id: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of asking the forge to try the webhook. `arrived` None: it does not tell; whether
    a call came is seen here."""

    arrived: bool | None
    words: str


class ForgeSetup(Protocol):
    """Finds a repository on one forge and has it call us. Never raises for what a forge does.

    All may be repeated: a webhook that is there is brought up to date.
    """

    async def look_up(self, name: str) -> FoundRepo | Later | Refused:
        """The repository of that name, as the token sees it."""

    async def make_hook(self, repo: FoundRepo, url: str, secret: str) -> MadeHook | Later | Refused:
        """See to it that exactly one webhook calls this URL, for the events that we take."""

    async def test(self, repo: FoundRepo, hook: MadeHook) -> Tried | Later | Refused:
        """Have the forge call it once."""


class Connections(Protocol):
    """The configured Connections, in memory: a webhook must not wait for a lookup."""

    def find(self, connection_id: str) -> Connection | None:
        """The Connection of that id, or None."""
