"""Admission: a registered runner's connection to the bus, and how it gets one the first time.

The server asks whoever comes to sign a number: it never sees a secret. An invited runner comes with
the key of its invitation, which opens nothing but `enrol`; there it names its own key, and comes
again with that.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import nkeys
import structlog
from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error

from pipelines.desk import (
    SERVER_NAME,
    EnrolAsked,
    How,
    Told,
    enrolling,
    inbox_of,
)
from runners import membership
from runners.identity import identity_of
from runners.link.asking import may_be_cut
from runners.membership import Membership, NotJoined

ANSWER_S = 10.0
CONNECT_S = 5
AGAIN_S = 1.0
LET_IN_S = 10.0
LET_IN_AGAIN_S = 0.1
REFUSED = "authorization violation"

log = structlog.get_logger("runners.link")


class Turned(Exception):
    """The server does not let this key in."""


def seed_of(root: Path) -> bytes:
    """The runner's own key, in NATS's form."""
    raw = identity_of(root).private_bytes_raw()
    return bytes(nkeys.encode_seed(raw, nkeys.PREFIX_BYTE_USER))


async def enrol(root: Path, member: Membership) -> Membership:
    """See that the runner is enrolled; waits for a host that is away. Raises NotJoined."""
    if not member.seed:
        return member
    own = nkeys.from_seed(bytearray(seed_of(root)))
    key = own.public_key.decode()
    asked = EnrolAsked(key=key, signature=own.sign(EnrolAsked.signed(member.runner, key)))
    while True:
        try:
            with may_be_cut():
                await _ask_once(member, asked)
            break
        except Turned:
            # The answer may have been lost, and the invitation used up by ourselves.
            if await _is_known(root, member):
                break
            raise NotJoined(
                f"the invitation of runner {member.runner} is not good (any more); ask for another"
                " one (`staunch runner add`) and start with an empty --data"
            ) from None
        except (Error, TimeoutError, OSError) as error:
            log.warning("not enrolled yet", reason=str(error) or type(error).__name__)
            await asyncio.sleep(AGAIN_S)
    made = replace(member, seed="")
    membership.write(root, made)
    log.info("enrolled", runner=member.runner)
    return made


async def _ask_once(member: Membership, asked: EnrolAsked) -> None:
    client = await admitted(member, member.seed.encode(), "invited")
    try:
        subject = enrolling(member.runner)
        answer = await client.request(subject, msgspec.msgpack.encode(asked), timeout=ANSWER_S)
        told = msgspec.msgpack.decode(answer.data, type=Told)
    finally:
        await client.close()
    if told.how is How.REFUSED:
        raise NotJoined(told.said)
    if told.how is not How.DONE:
        raise TimeoutError(told.said)


async def _is_known(root: Path, member: Membership) -> bool:
    try:
        client = await admitted(member, seed_of(root), "known")
    except Turned:
        return False
    await client.close()
    return True


async def admitted_soon(member: Membership, seed: bytes, **more: Any) -> Client:  # noqa: ANN401
    """A connection to work with. Raises Turned, once the server has said no for a while: it hears
    of a runner that has just enrolled a moment after the runner does."""
    deadline = time.monotonic() + LET_IN_S
    while True:
        try:
            with may_be_cut():
                return await admitted(member, seed, "at work", **more)
        except (Turned, TimeoutError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(LET_IN_AGAIN_S)


async def admitted(
    member: Membership,
    seed: bytes,
    name: str,
    *,
    on_error: Callable[[Exception], Awaitable[None]] | None = None,
    **more: Any,  # noqa: ANN401  the client's own callbacks
) -> Client:
    """A connection, once the server is there. Raises Turned: it does not let this key in."""
    client = Client()
    turned = asyncio.Event()

    async def heard(error: Exception) -> None:
        if REFUSED in str(error).lower():
            turned.set()
        if on_error is not None:
            await on_error(error)

    connecting = asyncio.create_task(
        client.connect(
            member.address,
            name=f"runner {member.runner} {name}",
            tls=_trust(member),
            tls_hostname=SERVER_NAME if member.certificate else None,
            nkeys_seed_str=seed.decode(),
            inbox_prefix=inbox_of(member.runner).encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=AGAIN_S,  # type: ignore[arg-type]  # the client takes fractions
            connect_timeout=CONNECT_S,
            ping_interval=10,
            error_cb=heard,
            **more,
        )
    )
    turning = asyncio.create_task(turned.wait())
    try:
        await asyncio.wait({connecting, turning}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        turning.cancel()
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting})
            await client.close()
    if connecting.cancelled():
        raise Turned
    connecting.result()
    return client


def _trust(member: Membership) -> ssl.SSLContext:
    """Just the certificate of the invitation, where there is one."""
    if not member.certificate:
        return ssl.create_default_context()
    return ssl.create_default_context(cadata=member.certificate)
