"""The proxy of one job: lets it reach what it may reach, and writes down what it may not.

Here: `CONNECT host:port`, and plain `http://` requests, one for each connection; anything else is
answered with an error. A target must be on the runner's list and, if the job has one, on the job's.
Then its name is resolved here, every address is judged, and one of those is connected to: what the
name means a moment later, or to the job, does not matter.

It is a process of its own, because it reads what the job writes: it holds no secret and no right.
The shim starts it, keeps its listening socket, and ends it. Standard library only.
"""

# These two else would be loaded at the first lookup, when it may no longer read where they are.
import asyncio
import concurrent.futures.thread  # noqa: F401
import contextlib
import encodings.idna  # noqa: F401
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from runners import addresses, spawn, targets
from runners.egress import DENIED_MAX

HEAD_BYTES_MAX = 32_768
HEAD_S = 30.0
LOOKUP_S = 15.0
CONNECT_S = 15.0
CONNECTIONS_MAX = 512
PUMP_BYTES = 65_536
HOP_BY_HOP = {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"host"}


class Denied(Exception):
    """The target may not be reached; the message says why."""


class Unreachable(Exception):
    """The target may be reached, and cannot be."""


class Policy:
    """What may be reached."""

    def __init__(self, allowed: list[str], narrowed: list[str], private: list[str]) -> None:
        self._allowed = targets.parse_all(allowed)
        self._narrowed = targets.parse_all(narrowed)
        self._private = [targets.parse_exact(one) for one in private]

    def is_private(self, host: str, port: int) -> bool:
        """Whether the operator has named just this one."""
        return any(one.matches(host, port) for one in self._private)

    def check(self, host: str, port: int) -> None:
        """Raises Denied."""
        is_allowed = any(one.matches(host, port) for one in self._allowed)
        if not is_allowed and not self.is_private(host, port):
            raise Denied("it is not on this runner's list (--egress)")
        if self._narrowed and not any(one.matches(host, port) for one in self._narrowed):
            raise Denied("it is not on the job's own list (egress=)")

    def judge(self, host: str, port: int, found: list[str]) -> list[str]:
        """Those of the found addresses that may be connected to. Raises Denied where none may."""
        fit = [one for one in found if self._may_be(host, port, one)]
        if not fit:
            raise Denied(f"its address {found[0]} is not on the internet")
        return fit

    def _may_be(self, host: str, port: int, text: str) -> bool:
        address = addresses.parse(text)
        if address is None:
            return False
        if addresses.is_global(address):
            return True
        if not self.is_private(host, port) or not addresses.is_private(address):
            return False
        # A name that somebody else's server answers for must not lead to this machine.
        own = host == "localhost" or addresses.parse(host) is not None
        return own or not address.is_loopback


class Proxy:
    """Serves connections. `tell` is called once for each target that was denied, up to a limit."""

    def __init__(self, policy: Policy, tell: Callable[[str], None]) -> None:
        self._policy = policy
        self._tell = tell
        self._told: set[str] = set()
        self._served = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self._served += 1
        try:
            if self._served > CONNECTIONS_MAX:
                _answer(writer, 503, f"more than {CONNECTIONS_MAX} connections at once")
                return
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the job went away, or said nothing
        finally:
            self._served -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_S)
        except asyncio.LimitOverrunError:
            _answer(writer, 431, f"a request's head may have {HEAD_BYTES_MAX:,} bytes")
            return
        request = _read_head(head)
        if request is None:
            _answer(writer, 400, "this is a proxy; it takes CONNECT host:port, and http:// URLs")
            return
        host, port, onward = request
        try:
            theirs, to_them = await self._connect(host, port)
        except Denied as why:
            self._note(f"{host}:{port}: {why}")
            _answer(writer, 403, f"{host}:{port} is not reached from this job: {why}")
            return
        except Unreachable as why:
            _answer(writer, 502, f"{host}:{port} could not be reached: {why}")
            return
        if onward is None:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            to_them.write(onward)
        try:
            await asyncio.gather(_pump(reader, to_them), _pump(theirs, writer))
        finally:
            to_them.close()

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises Denied, Unreachable."""
        self._policy.check(host, port)
        try:
            loop = asyncio.get_running_loop()
            lookup = loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = [str(entry[4][0]) for entry in await asyncio.wait_for(lookup, LOOKUP_S)]
        except (OSError, UnicodeError, TimeoutError) as error:
            raise Unreachable(f"its name has no address ({error or 'no answer'})") from error
        last: Exception = OSError("no address")
        for address in self._policy.judge(host, port, found):
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, port), CONNECT_S)
            except (OSError, TimeoutError) as error:
                last = error
        raise Unreachable(str(last) or "no answer")

    def _note(self, said: str) -> None:
        if said in self._told or len(self._told) > DENIED_MAX:
            return
        self._told.add(said)
        self._tell(said if len(self._told) <= DENIED_MAX else "and others, which are not listed")


def _read_head(head: bytes) -> tuple[str, int, bytes | None] | None:
    """Host, port, and what to send on (None: a tunnel); or None where it is neither."""
    lines = head[:-4].split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return None
    method, target = words[0], words[1].decode("latin-1")
    if method == b"CONNECT":
        found = targets.split_host(target)
        return None if found is None else (*found, None)
    try:
        url = urlsplit(target)
    except ValueError:
        return None
    found = targets.split_host(url.netloc.rpartition("@")[2], 80)
    if url.scheme != "http" or found is None:
        return None
    # One request for each connection: the next one may be for somebody else.
    kept = [line for line in lines[1:] if line.partition(b":")[0].strip().lower() not in HOP_BY_HOP]
    path = target.partition("://")[2]
    path = path[len(url.netloc) :] or "/"
    path = path if path.startswith("/") else f"/{path}"
    host = url.netloc.rpartition("@")[2].encode("latin-1")
    first = b"%s %s HTTP/1.1" % (method, path.encode("latin-1"))
    onward = [first, b"Host: " + host, b"Connection: close", *kept]
    return (*found, b"\r\n".join(onward) + b"\r\n\r\n")


def _answer(writer: asyncio.StreamWriter, status: int, said: str) -> None:
    body = f"staunch: {said}\n".encode()
    head = (
        f"HTTP/1.1 {status} staunch\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PUMP_BYTES):
            writer.write(data)
            await writer.drain()
        # The other direction may go on: whoever has said all may still be answered.
        writer.write_eof()


async def _run(proxy: Proxy, listener: socket.socket) -> None:
    server = await asyncio.start_server(proxy.serve, sock=listener, limit=HEAD_BYTES_MAX)
    async with server:
        await server.serve_forever()


def main(told: dict[str, Any]) -> None:
    """Serve the listening socket `told["listener"]` until killed, with no more rights than the job.

    `told` also has the lists, `denied` (a descriptor that is written to), `uid`, `gid`, `keeper`.
    """
    policy = Policy(told["allowed"], told["narrowed"], told["private"])
    listener = socket.socket(fileno=told["listener"])
    spawn.give_up_rights({"uid": told["uid"], "gid": told["gid"], "limits": {"RLIMIT_CORE": 0}})
    spawn.die_with(told["keeper"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def tell(said: str) -> None:
        # A line at once, or not at all: the pipe is the shim's, which reads it at the end.
        with contextlib.suppress(BlockingIOError):
            os.write(told["denied"], json.dumps(said).encode() + b"\n")

    asyncio.run(_run(Proxy(policy, tell), listener))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
