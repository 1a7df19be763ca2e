"""Desk: what a registered Runner asks of the host, and the words in which it is answered.

Such a Runner may write to no stream. It takes Jobs from the queue of its pool, and asks at the desk
for all else, on `desk.<runner>.<verb>`; the host does it if the Runner holds the Job. Bodies are
MessagePack, because some are bytes. Here: the words only, pure. Who may what is `engine/desk`'s.
"""

import base64
import binascii
from enum import StrEnum

import msgspec

from pipelines.job import CancelJob, Lease, LogChunk, Moving
from pipelines.manifest import CHUNK_BYTES
from pipelines.shell import Standby

INVITATION_PREFIX = "staunch-join-"
# The name in the certificate of the message server, whatever its address.
SERVER_NAME = "bus.staunch"
PART_BYTES_MAX = CHUNK_BYTES
HAVES_MAX = 16


class Verb(StrEnum):
    """What can be asked; each has a body of its own below."""

    STAND = "stand"
    BEAT = "beat"
    CLAIM = "claim"
    SETTLE = "settle"
    CANCEL_OF = "cancel-of"
    FINISH = "finish"
    LOG_END = "log-end"
    LOG_APPEND = "log-append"
    CACHE_NEWEST = "cache-newest"
    CACHE_KEEP = "cache-keep"
    BLOB_GET = "blob-get"
    BLOB_PUT = "blob-put"
    BLOB_JOIN = "blob-join"
    SOURCE = "source"
    STAND_BY = "stand-by"


class How(StrEnum):
    """How an answer is meant."""

    DONE = "done"
    REFUSED = "refused"
    CONFLICT = "conflict"
    MISSING = "missing"
    UNAVAILABLE = "unavailable"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Every answer: `body` is MessagePack of what the verb answers, `said` why there is none."""

    how: How
    body: bytes = b""
    said: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the host knows of a Runner. `is_draining`: it is to take no Job for now. `is_single`: it
    is there for one Job."""

    runner: str
    pool: str
    is_draining: bool = False
    is_single: bool = False


class StandAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Who am I here? Answers a Standing."""


class BeatAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life. Answers a Standing."""

    slots: int
    version: str
    moving: dict[str, Moving] = {}


class ClaimAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The Lease of a Job that was delivered under `token`. Answers the Lease that there is."""

    token: str
    lease: Lease


class Settling(StrEnum):
    """What becomes of a delivery: it is worked on, is over, or is to come again."""

    HOLD = "hold"
    DONE = "done"
    LATER = "later"


class SettleAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Answers nothing. `delay_s` counts for LATER."""

    token: str
    job: str
    how: Settling
    delay_s: float = 0.0


class JobAsked(msgspec.Struct, frozen=True, kw_only=True):
    """CANCEL_OF: answers a CancelJob or nothing. LOG_END: answers a LogEnd."""

    job: str


class CancelFound(msgspec.Struct, frozen=True, kw_only=True):
    """The wish that an Attempt ends, if there is one."""

    wish: CancelJob | None = None


class FinishAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A report, encoded as an input of a History. Answers nothing."""

    job: str
    report: bytes


class LogEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The sequence of the last chunk (0: none), and that chunk without its text."""

    sequence: int = 0
    offset: int = 0
    is_kept: bool = False


class AppendAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk of a log, directly after `after`. Answers its sequence."""

    job: str
    chunk: LogChunk
    after: int


class CacheAsked(msgspec.Struct, frozen=True, kw_only=True):
    """CACHE_NEWEST: the subject may have `*`. Answers a `cache.Entry`, encoded, or nothing."""

    job: str
    subject: str


class CacheKept(msgspec.Struct, frozen=True, kw_only=True):
    """CACHE_KEEP: an encoded `cache.Entry`. Answers nothing."""

    job: str
    subject: str
    entry: bytes


class BlobAsked(msgspec.Struct, frozen=True, kw_only=True):
    """BLOB_GET: the bytes from `offset` on, PART_BYTES_MAX at most. Answers a BlobPart."""

    job: str
    digest: str
    shelf: str
    offset: int = 0


class BlobPart(msgspec.Struct, frozen=True, kw_only=True):
    """`size` is that of the whole."""

    content: bytes
    size: int


class BlobGiven(msgspec.Struct, frozen=True, kw_only=True):
    """BLOB_PUT: PART_BYTES_MAX at most. Answers whether it is new."""

    job: str
    digest: str
    shelf: str
    content: bytes


class BlobJoined(msgspec.Struct, frozen=True, kw_only=True):
    """BLOB_JOIN: a larger one out of pieces that were put. Answers whether it is new."""

    job: str
    digest: str
    shelf: str
    pieces: list[str]


class SourceAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The commit of a Job for a Runner that has these commits of its Repo. Answers a SourceTold."""

    job: str
    haves: list[str] = []


class SourceTold(msgspec.Struct, frozen=True, kw_only=True):
    """A git pack, as pieces of the blob store. `default_ref` is that of the Repo, or empty."""

    pieces: list[str]
    default_ref: str = ""


class StandingBy(msgspec.Struct, frozen=True, kw_only=True):
    """A Job of the Runner's waits for a terminal. Answers nothing."""

    standby: Standby


class EnrolAsked(msgspec.Struct, frozen=True, kw_only=True):
    """An invited Runner's key: the public half in NATS's form, and a signature over `signed`."""

    key: str
    signature: bytes

    @staticmethod
    def signed(runner: str, key: str) -> bytes:
        """What is signed: nobody can enrol a key that is another's."""
        return b"\0".join((b"staunch enrol 1", runner.encode(), key.encode()))


class Invitation(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a new Runner is given, in one word: where to go, whom to trust, and a key that opens
    nothing but the registration. `certificate` is DER; empty: the public authorities decide."""

    address: str
    runner: str
    seed: str
    certificate: bytes = b""

    def word(self) -> str:
        """As people copy it."""
        packed = base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode()
        return INVITATION_PREFIX + packed.rstrip("=")

    @classmethod
    def read(cls, word: str) -> "Invitation":
        """The inverse. Raises ValueError, without the word in its message: it is a secret."""
        text = word.strip()
        if not text.startswith(INVITATION_PREFIX):
            raise ValueError(f"an invitation begins with {INVITATION_PREFIX}")
        body = text.removeprefix(INVITATION_PREFIX)
        try:
            packed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return msgspec.msgpack.decode(packed, type=cls)
        except (binascii.Error, msgspec.MsgspecError, ValueError):
            raise ValueError("the invitation is not whole; copy all of it, to its end") from None


def asking(runner: str, verb: str) -> str:
    """Where a Runner asks."""
    return f"desk.{runner}.{verb}"


def enrolling(runner: str) -> str:
    """Where an invited one enrols."""
    return f"enrol.{runner}"


def telling(runner: str) -> str:
    """Where it hears of cancelled Jobs, as CancelJob in JSON."""
    return f"told.{runner}.cancel"


def inbox_of(runner: str) -> str:
    """The prefix of the subjects on which it hears answers, and nobody else."""
    return f"_INBOX_{runner}"
