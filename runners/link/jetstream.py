"""Asking JetStream: requests that are bounded, and whose failures are the port's.

Here: publishing with an expectation, reading the newest of a subject, the raw API. No subject of
ours is known here.
"""

import asyncio
import json
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError

from runners.ports import Conflict, Unavailable

ANSWER_S = 5.0
WRONG_LAST_SEQUENCE = 10071


class Refusal(Exception):
    """JetStream answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


class Stored(msgspec.Struct, frozen=True):
    """A message as a stream keeps it."""

    data: bytes
    sequence: int


class JetStream:
    """What one connection asks."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._limits: set[asyncio.Timeout] = set()

    async def request(
        self, subject: str, content: bytes, headers: dict[str, str] | None = None
    ) -> Msg:
        """The answer. Raises TimeoutError and the client's errors."""
        async with asyncio.timeout(ANSWER_S) as limit:
            self._limits.add(limit)
            try:
                return await self._client.request(
                    subject, content, timeout=2 * ANSWER_S, headers=headers or None
                )
            finally:
                self._limits.discard(limit)

    def give_up_requests(self) -> None:
        """No answer can come over a lost connection: time out now what waits for one."""
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)

    async def publish(self, subject: str, content: bytes, headers: dict[str, str]) -> int:
        """Store it, and answer its sequence. Raises Conflict and Unavailable."""
        try:
            answer = await self.request(subject, content, headers)
        except (Error, TimeoutError) as error:
            raise Unavailable(f"{subject}: {error or type(error).__name__}") from error
        try:
            return int(_answer_of(answer)["seq"])
        except Refusal as refusal:
            if refusal.code == WRONG_LAST_SEQUENCE:
                raise Conflict(f"{subject}: {refusal}") from refusal
            raise Unavailable(f"{subject}: {refusal}") from refusal

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of a subject, or pattern, by direct get, so a grant can name it.

        Raises Unavailable.
        """
        try:
            answer = await self.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"")
        except NoRespondersError as error:
            raise Unavailable(f"{stream} is not there, or has no direct get") from error
        except (Error, TimeoutError) as error:
            raise Unavailable(f"{stream}: {error or type(error).__name__}") from error
        headers = answer.headers or {}
        status = headers.get("Status")
        if status == "404":
            return None
        if status is not None:
            raise Unavailable(f"{stream}: {status} {headers.get('Description', '')}")
        return Stored(data=answer.data, sequence=int(headers["Nats-Sequence"]))

    async def api(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to one call of the API. Raises Refusal and Unavailable."""
        try:
            answer = await self.request(f"$JS.API.{subject}", json.dumps(body).encode())
        except (Error, TimeoutError) as error:
            raise Unavailable(f"{subject}: {error or type(error).__name__}") from error
        return _answer_of(answer)


def _answer_of(message: Msg) -> dict[str, Any]:
    answer = json.loads(message.data)
    assert isinstance(answer, dict)
    if "error" in answer:
        error = answer["error"]
        raise Refusal(int(error.get("err_code", 0)), str(error.get("description", "")))
    return answer
