"""Routes: `POST /hooks/{connection}` and `POST /hooks/{connection}/{repo}`. Verify, record, answer
202; nothing else happens here.

Parsing, fetching and starting Runs come later, from the inbox: a forge waits five seconds, and
some do not try again. The one thing that may take time is the inbox's fsync.
In a flood of calls the framework around a route costs more than all that is done here: `HooksFirst`
answers them in front of the application, in which the route stands to be listed and tried.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.repo import Connection, Delivery, ForgeKind
from webhooks.errors import InboxUnavailable, Unverified
from webhooks.forge import Connections, Forge, Ignored
from webhooks.hook_bodies import BODY_BYTES_MAX, READ_TIMEOUT_S, RETRY_AFTER_S, Bodies, Problem
from webhooks.hook_of_repo import accepted_at, called_by
from webhooks.inbox import Inbox, Recorded
from webhooks.registry import FORGES

DELIVERY_ID_CHARS_MAX = 200
HOOK_PATH = "/hooks/{connection_id}"
REPO_HOOK_PATH = "/hooks/{connection_id}/{repo_id}"
RECORD_TIMEOUT_S = 4.0

log = structlog.get_logger()


class _AnyObject(msgspec.Struct):
    """A JSON object, all of it syntax-checked and none of it built."""


_any_object = msgspec.json.Decoder(_AnyObject)


class Hook:
    """What a call is answered with. `now`: seconds since the epoch."""

    def __init__(
        self,
        *,
        connections: Connections,
        inbox: Inbox,
        now: Callable[[], float],
        forges: Mapping[ForgeKind, Forge] = FORGES,
        record_timeout_s: float = RECORD_TIMEOUT_S,
        bodies: Bodies | None = None,
    ) -> None:
        self._connections, self._inbox, self._now = connections, inbox, now
        self._forges, self._record_timeout_s = forges, record_timeout_s
        self._bodies = bodies or Bodies()

    async def answer(self, connection_id: str, repo_id: str, request: Request) -> Response:
        """Verified over the raw bytes, made durable, and only then answered with 202."""
        try:
            connection = _known(self._connections, connection_id)
            forge = self._forges[connection.kind]
            body = await self._bodies.read(request)
            taken = _taken(forge, connection, repo_id, request.headers, body, self._now())
            if isinstance(taken, Ignored):
                return JSONResponse({"ignored": f"ignored, because {taken.reason}"})
            recorded = await _record(self._inbox, taken, self._record_timeout_s)
        except Problem as problem:
            return problem.response()
        duplicate = recorded is Recorded.DUPLICATE
        return JSONResponse({"delivery": taken.id, "duplicate": duplicate}, 202)


class HooksFirst:
    """An ASGI application that answers calls of hooks, and leaves all else to another."""

    def __init__(self, hook: Hook, application: ASGIApp) -> None:
        self._hook, self._application = hook, application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        called = _called(scope)
        if called is None:
            await self._application(scope, receive, send)
            return
        try:
            answer = await self._hook.answer(*called, Request(scope, receive))
        except Exception:  # the edge: the application's own is behind this one
            log.exception("hook_broke", connection=called[0])
            answer = Problem(
                500, "An error of Staunch's own", "Send it again; the host's log has the details."
            ).response()
        await answer(scope, receive, send)


def _called(scope: Scope) -> tuple[str, str] | None:
    """Whose hook is called: of a Connection and of its Repo, or empty."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    return called_by(scope["path"])


def webhook_routes(hook: Hook) -> APIRouter:
    """The routes, for an application that lists them, or serves them itself."""

    async def take(connection_id: str, request: Request) -> Response:
        """Verified over the raw bytes, made durable, and only then answered with 202. For what
        calls for many repositories: a GitHub App, an organisation."""
        return await hook.answer(connection_id, "", request)

    async def take_of_repo(connection_id: str, repo_id: str, request: Request) -> Response:
        """As that of its connection, but of one repository, by its forge's id, with a secret of its
        own; what tells of another one is recorded, and starts nothing."""
        return await hook.answer(connection_id, repo_id, request)

    router = APIRouter(tags=["webhooks"])
    whose: dict[str, tuple[str, Callable[..., Any]]] = {
        HOOK_PATH: ("a forge", take),
        REPO_HOOK_PATH: ("a repository", take_of_repo),
    }
    for path, (of_whom, endpoint) in whose.items():
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            status_code=202,
            response_class=JSONResponse,
            summary=f"Take one webhook call of {of_whom}",
            responses=_RESPONSES,
            openapi_extra={"requestBody": _PAYLOAD},
        )
    return router


# What a forge sends; `docs/guide/forges.md` says how each signs it.
_PAYLOAD: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": "object"}, "example": {"ref": "refs/heads/main"}}
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Verified, and nothing that a pipeline could be started by.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["ignored"],
                    "properties": {"ignored": {"type": "string"}},
                },
                "example": {"ignored": "ignored, because a star starts nothing"},
            }
        },
    },
    202: {
        "description": "Recorded.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["delivery", "duplicate"],
                    "properties": {
                        "delivery": {"type": "string"},
                        "duplicate": {"type": "boolean"},
                    },
                },
                "example": {"delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "duplicate": False},
            }
        },
    },
    400: {"description": "Not JSON, cut short, or without a delivery id."},
    401: {"description": "Not signed with a secret of this connection."},
    404: {"description": "No such connection."},
    408: {"description": f"Its body took longer than {READ_TIMEOUT_S:.0f} seconds to come."},
    413: {"description": f"Larger than {BODY_BYTES_MAX} bytes."},
    503: {"description": "It could not be made durable; send it again."},
}


def _known(connections: Connections, connection_id: str) -> Connection:
    connection = connections.find(connection_id)
    if connection is None:
        raise Problem(
            404,
            "No such connection",
            "Nothing is configured under this URL. `staunch repo` lists each webhook's URL.",
            # Its body is not read.
            {"Connection": "close"},
        )
    return connection


def _taken(
    forge: Forge,
    connection: Connection,
    repo_id: str,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
) -> Delivery | Ignored:
    """The call as it will be kept. Nothing in it is looked at before the signature is."""
    _verify(forge, accepted_at(connection.secrets, repo_id), headers, body, now)
    event = forge.event_name(headers)
    if ignored := forge.ignores(event):
        return ignored
    return Delivery(
        connection=connection.id,
        id=_delivery_id(forge, headers),
        kind=connection.kind,
        event=event,
        received_at=now,
        body=_json_text(headers.get("content-type", ""), body),
        repo=repo_id,
    )


def _verify(
    forge: Forge, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float
) -> None:
    try:
        forge.verify(headers, body, secrets, now)
    except Unverified:
        # One answer for every failure: which check failed is of use to an attacker alone.
        raise Problem(
            401,
            "Signature not accepted",
            "The body must be signed with the secret of this URL, and be sent within five minutes."
            " `staunch connect` sets the forge's right; `staunch repo add` shows it.",
        ) from None


def _delivery_id(forge: Forge, headers: Mapping[str, str]) -> str:
    delivery_id = forge.delivery_id(headers)
    fits = 0 < len(delivery_id) <= DELIVERY_ID_CHARS_MAX
    if not fits or not (delivery_id.isascii() and delivery_id.isprintable()):
        raise Problem(
            400,
            "No delivery id",
            "The forge's delivery header must name the call in 1 to"
            f" {DELIVERY_ID_CHARS_MAX} printable characters, so that it is taken only once.",
        )
    return delivery_id


def _json_text(content_type: str, body: bytes) -> str:
    """The payload as text, unwrapped from GitHub's form encoding where that was chosen."""
    try:
        if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            fields = parse_qs(body.decode(), strict_parsing=True, errors="strict", max_num_fields=8)
            text = fields["payload"][0]
        else:
            text = body.decode()
        _any_object.decode(text)
    except (ValueError, KeyError, RecursionError, msgspec.MsgspecError):
        raise Problem(
            400,
            "Not JSON",
            "The body must be a JSON object in UTF-8, or a form whose `payload` is one. Choose"
            " the content type application/json at the forge.",
        ) from None
    return text


async def _record(inbox: Inbox, delivery: Delivery, timeout_s: float) -> Recorded:
    try:
        async with asyncio.timeout(timeout_s):
            return await inbox.record(delivery)
    except (InboxUnavailable, TimeoutError):
        raise Problem(
            503,
            "Cannot be kept now",
            f"Nothing was lost yet: send the same call again in {RETRY_AFTER_S} seconds.",
            {"Retry-After": str(RETRY_AFTER_S)},
        ) from None
