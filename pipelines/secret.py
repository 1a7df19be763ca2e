"""Secret: a name in a pipeline, whose value only the Runner of a Job opens.

Here: for whom a Secret is, which of several of one name a Job gets, and what Runner and host say to
each other. Pure. Where values are kept is the host's, how they are sealed is each side's.
"""

import re
from collections.abc import Iterable

import msgspec

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
SECRET_BYTES_MAX = 65_536
JOB_SECRETS_BYTES_MAX = 1_048_576
MASK = "***"
MASKED_BYTES_MIN = 8
"""Shorter values, and shorter lines of a longer value, would mask ordinary text."""
# The host listens here; the answer goes to whoever asked, and to nobody else's eyes.
ASK = "secrets.ask"
SEALED_FOR = b"staunch secrets 1"


def unkeepable(value: str) -> str:
    """Why this can be no Secret's value, never what it is; or nothing."""
    size = len(value.encode())
    if size > SECRET_BYTES_MAX:
        return f"the value has {size:,} bytes; {SECRET_BYTES_MAX:,} are allowed"
    if "\0" in value:
        return "the value holds a NUL byte, which no environment can; encode it, as with base64"
    return unmaskable(value)


def unmaskable(value: str) -> str:
    """Why a value could not be masked in a log, never what it is; or nothing."""
    if not any(len(line.strip().encode()) >= MASKED_BYTES_MIN for line in value.splitlines()):
        return (
            f"the value has no line of {MASKED_BYTES_MIN} bytes or more: masking it would hide"
            " ordinary text of a log; use a longer secret"
        )
    if MASK in value:
        return (
            f"the value holds {MASK}, which is what secrets are masked with: nobody could tell"
            " whether it was masked; use another secret"
        )
    return ""


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """For whom a Secret is: what is not empty must be so.

    `org` is `<connection>/<owner>`, `repo` a Repo's id; one of them is there. `event` is the kind
    of event that began the Run.
    """

    org: str = ""
    repo: str = ""
    environment: str = ""
    pool: str = ""
    event: str = ""

    def covers(self, place: "Scope") -> bool:
        """Whether it is for a Job at `place`, which has everything that is known of it."""
        return all(
            not wanted or wanted == getattr(place, field)
            for field, wanted in ((f, getattr(self, f)) for f in self.__struct_fields__)
        )

    @property
    def rank(self) -> tuple[bool, ...]:
        """The higher the more specific: repo over org, then environment, pool, event."""
        return (bool(self.repo), bool(self.environment), bool(self.pool), bool(self.event))

    def words(self) -> str:
        """For people."""
        parts = ((f, getattr(self, f)) for f in self.__struct_fields__)
        return ", ".join(f"{field} {value}" for field, value in parts if value)


class NamedScope(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one Secret from another."""

    name: str
    scope: Scope


def best(kept: Iterable[NamedScope], name: str, place: Scope) -> NamedScope | None:
    """Which Secret of that name a Job at `place` gets: the most specific of those for it."""
    fitting = [one for one in kept if one.name == name and one.scope.covers(place)]
    return max(fitting, key=lambda one: one.scope.rank, default=None)


class SecretsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A Runner wants the values for an Attempt that it holds.

    `public_key`: fresh, X25519; only who has its other half can read the answer. `signature`: over
    `signed`, by the key whose public half is in the Attempt's Lease.
    """

    job: str
    runner: str
    public_key: bytes
    signature: bytes

    @staticmethod
    def signed(job: str, runner: str, public_key: bytes) -> bytes:
        """What is signed."""
        return b"\0".join((SEALED_FOR, job.encode(), runner.encode(), public_key))


class SecretsTold(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: `sealed` values by variable, or why there are none.

    `refused` stays so until somebody does something; `unavailable` is worth another try.
    """

    sealed: bytes = b""
    refused: str = ""
    unavailable: str = ""
