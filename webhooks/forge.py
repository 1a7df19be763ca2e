"""Forge: the port behind which each forge hides its names, headers, signatures and API.

What is told about one commit lives in `pipelines.status`; what happened in `pipelines.event`.
Adding a forge means one folder with a `Forge`, an entry in `registry.py`, and payloads in tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.event import Event
from pipelines.events import Fork
from pipelines.priority import Priority
from pipelines.repo import Connection, ForgeKind
from pipelines.shell import Wait
from pipelines.status import Status


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
class ParsedEvent:
    """One event and the repository it happened in: the forge's own id, and its name today.

    `pipeline` names the only one that is asked for; empty: whichever wants the event. `inputs` is
    what a person gave with a manual start; `fork`: what that is to be made from. `priority` None:
    nobody said another than what the pipeline declares, or than what is forked had. `wait`: the
    Run's Jobs wait for a terminal after a step that failed. `again`: of the event only the commit
    and the sender count.
    """

    external_id: str
    name: str
    event: Event
    pipeline: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    fork: Fork | None = None
    priority: Priority | None = None
    wait: Wait | None = None
    again: Again | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A verified call that asks for nothing; `reason` completes "ignored, because …"."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The forge has the Status."""


@dataclass(frozen=True, slots=True)
class Later:
    """A passing fault: try again after `retry_after_s`; None: the forge named no time."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class SendLater:
    """Try again in `retry_after_s`, which the sender has decided; `reason` says what was wrong."""

    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The forge will never take this Status as it is; `reason` says why and what to do."""

    reason: str


Told = Sent | Later | Refused


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


class Connections(Protocol):
    """The configured Connections, in memory: a webhook must not wait for a lookup."""

    def find(self, connection_id: str) -> Connection | None:
        """The Connection of that id, or None."""
