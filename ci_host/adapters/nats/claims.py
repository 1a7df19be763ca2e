"""Claims: how a body that is too large for one message is kept, and how it is found again.

What is over INLINE_BYTES_MAX goes to the blob store first, in parts, each under its own digest.
Then a small message takes its place: the claim, which names the parts in order. This is the one
place where either is made or read; nobody else sees a claim.

A process that dies between the two leaves parts that nobody names. They are harmless: whoever does
the same again finds them there, because what a part is called is what it holds.
"""

from typing import Annotated

import msgspec

from ci_host.adapters.nats.blobs import NatsBlobs
from ci_host.adapters.nats.bus import Bus
from ci_host.ports import Damaged, Missing
from pipelines.codec import Undecodable
from pipelines.ids import Digest
from pipelines.run import RunState

INLINE_BYTES_MAX = 1_048_576
PART_BYTES = 1_048_576
CLAIM_BYTES_MAX = 268_435_456
# Inputs begin with their type and Turns with their number, so nothing else begins like this.
MARK = b'{"claim":'

PartDigest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Parts = Annotated[
    list[PartDigest], msgspec.Meta(min_length=1, max_length=CLAIM_BYTES_MAX // PART_BYTES)
]


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What takes the place of a body. `state` is the Run's after the Turn, if the body is one: so
    much is known also if a part is lost."""

    bytes: int
    parts: _Parts
    state: RunState | None = None


class _Note(msgspec.Struct, frozen=True):
    claim: Claim


_decoder = msgspec.json.Decoder(_Note)


def is_claim(body: bytes) -> bool:
    """Whether this is no body, but the claim of one."""
    return body.startswith(MARK)


def claim_of(body: bytes) -> Claim | None:
    """The claim that a message is, or None: then its body is there. Raises Undecodable."""
    if not is_claim(body):
        return None
    try:
        return _decoder.decode(body).claim
    except msgspec.MsgspecError as error:
        raise Undecodable(f"a claim of {len(body)} bytes cannot be read: {error}") from error


class Claims:
    """Over one connection; holds nothing."""

    def __init__(self, bus: Bus) -> None:
        self._blobs = NatsBlobs(bus)

    async def lay(self, body: bytes, state: RunState | None = None) -> bytes:
        """What to store as the message: the body itself, or its claim, whose parts are durable.

        Raises Unavailable.
        """
        if len(body) <= INLINE_BYTES_MAX:
            return body
        parts: list[str] = []
        for start in range(0, len(body), PART_BYTES):
            parts.append(await self._blobs.put(body[start : start + PART_BYTES]))
        return msgspec.json.encode(_Note(Claim(bytes=len(body), parts=parts, state=state)))

    async def body_of(self, subject: str, sequence: int, body: bytes) -> bytes:
        """The whole body of a message as it was stored. Raises Damaged, Undecodable, Unavailable.

        `subject` and `sequence` say in an error which message it is.
        """
        claim = claim_of(body)
        if claim is None:
            return body
        whole: list[bytes] = []
        try:
            for digest in claim.parts:
                whole.append(await self._blobs.get(Digest(digest)))
        except Missing as error:
            raise _damaged(subject, sequence, claim, str(error)) from error
        if (size := sum(map(len, whole))) != claim.bytes:
            why = f"its parts ({', '.join(claim.parts)}) have {size:,} bytes together"
            raise _damaged(subject, sequence, claim, why)
        return b"".join(whole)


def _damaged(subject: str, sequence: int, claim: Claim, why: str) -> Damaged:
    return Damaged(
        f"the message {sequence} on {subject} has {claim.bytes:,} bytes in the blob store, and they"
        f" cannot be had: {why} (restore the stream BLOBS from a backup)"
    )
