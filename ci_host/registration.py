"""Registration: a Runner of another machine, as the host knows it. Pure.

Here: its states, and what its key may do on the bus. Where it is kept and who changes it is
`engine/registrations`'. What it may ask for beyond this, `engine/desk` decides for each Job.
"""

from enum import StrEnum

import msgspec

from pipelines.desk import Standing, asking, enrolling, inbox_of, telling
from pipelines.priority import LEVELS

INVITED_S = 600.0
INVITED_S_MAX = 86_400.0


class State(StrEnum):
    """`spent`: it was there for one Job, and that is over. The last three are final."""

    INVITED = "invited"
    JOINED = "joined"
    DRAINING = "draining"
    EXPIRED = "expired"
    SPENT = "spent"
    REVOKED = "revoked"


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One message of REGISTRATIONS, the newest of its subject.

    `id` is the Runner's name on the bus. `invitation` and `key` are public keys in NATS's form:
    that of the invitation, good until `invited_until`, and the Runner's own, once it has enrolled.
    `job`: the one Job of a Runner that `is_single`.
    """

    id: str
    pool: str
    invitation: str
    invited_until: float
    invited_by: str
    invited_at: float
    key: str = ""
    joined_at: float = 0.0
    is_single: bool = False
    is_draining: bool = False
    job: str = ""
    is_spent: bool = False
    revoked_by: str = ""
    revoked_at: float = 0.0

    def state(self, now: float) -> State:
        """What it may do at this time."""
        if self.revoked_at:
            return State.REVOKED
        if self.is_spent:
            return State.SPENT
        if not self.key:
            return State.INVITED if now < self.invited_until else State.EXPIRED
        return State.DRAINING if self.is_draining else State.JOINED

    @property
    def standing(self) -> Standing:
        """What the Runner is told of it."""
        return Standing(
            runner=self.id,
            pool=self.pool,
            is_draining=self.is_draining,
            is_single=self.is_single,
        )


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the bus: the public key in NATS's form, and the subjects it may use."""

    key: str
    publish: list[str]
    subscribe: list[str]


def grant_of(registration: Registration, now: float) -> Grant | None:
    """What its key may do on the bus; None: nothing, and it is let in no more.

    No stream can be read or written with it, no consumer made, and nobody else's answers heard.
    What is pulled are Jobs of its own pool.
    """
    runner = registration.id
    inbox = f"{inbox_of(runner)}.>"
    match registration.state(now):
        case State.INVITED:
            return Grant(
                key=registration.invitation, publish=[enrolling(runner)], subscribe=[inbox]
            )
        case State.JOINED | State.DRAINING:
            return Grant(
                key=registration.key,
                publish=[
                    asking(runner, "*"),
                    "secrets.ask",
                    f"shell.{runner}.>",
                    *pulls_of(registration.pool),
                ],
                subscribe=[inbox, telling(runner), "runner.*", f"shell.{runner}.>"],
            )
        case _:
            return None


def pulls_of(pool: str) -> list[str]:
    """Where the Jobs of a pool are asked for, by priority."""
    names = (f"runners-{pool}" if one == "normal" else f"{one}-runners-{pool}" for one in LEVELS)
    return [f"$JS.API.CONSUMER.MSG.NEXT.JOBS.{name}" for name in names]
