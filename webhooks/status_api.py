"""Status API: what the forges' status calls share. One POST, and what its answer means.

Retrying is the caller's (`reporter.py` says when). A token is sent to the connection's own API and
nowhere else.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import msgspec

from pipelines.refs import is_commit
from pipelines.status import Status, shorten
from webhooks.forge import Later, Refused, Sent, Told

TIMEOUT_S = 10.0
REASON_CHARS_MAX = 300
CONTEXT_CHARS_MAX = 255
PORT_MAX = 65_535
KEEPS_THE_METHOD = frozenset({307, 308})
RETRY_AFTER_S_MAX = 3_600.0
RATE_LIMIT_S = 60.0

_NAME = re.compile(r"(?!\.+/)[\w.-]+/(?!\.+\Z)[\w.-]+\Z", re.ASCII)


async def post(
    client: httpx2.AsyncClient, url: str, headers: Mapping[str, str], status: Status, *, now: float
) -> Told:
    """Tell one Status. Never raises for what network or forge do."""
    if (refused := refused_place(status)) is not None:
        return refused
    body = {
        "state": str(status.state),
        "description": shorten(status.description),
        "context": shorten(status.context, CONTEXT_CHARS_MAX),
        # GitHub answers 422 to an empty URL, and takes a missing one.
        **({"target_url": status.target_url} if status.target_url else {}),
    }
    answer = await request(client, url, headers, body)
    return classify(answer, now) if isinstance(answer, httpx2.Response) else answer


def is_repo_name(name: str) -> bool:
    """Whether this is an `owner/name` that can be put into an API URL as it is."""
    return _NAME.match(name) is not None


def refused_place(status: Status) -> Refused | None:
    """Why no URL can be made of where this Status belongs, or None."""
    if is_repo_name(status.repo_name) and is_commit(status.commit):
        return None
    return Refused(f"{status.repo_name!r} at {status.commit!r} cannot be put into an API URL")


async def request(
    client: httpx2.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | Sequence[Any] | None,
    method: str = "POST",
) -> httpx2.Response | Later | Refused:
    """The answer to one request, or why there is none. Never raises for what network or forge do.

    `body` None: there is none. A redirect that keeps the method, as forges answer after a rename,
    is followed once, within the same origin.
    """
    answer = await _asked(client, method, url, headers, body)
    if isinstance(answer, httpx2.Response) and answer.status_code in KEEPS_THE_METHOD:
        further = joined(url, answer.headers.get("location", ""))
        if further is not None:
            return await _asked(client, method, further, headers, body)
    return answer


async def _asked(
    client: httpx2.AsyncClient,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | Sequence[Any] | None,
) -> httpx2.Response | Later | Refused:
    if (problem := problem_of(url)) is not None:
        return Refused(f"{url} is no URL: {problem}. Correct the connection's api_url.")
    try:
        return await client.request(
            method,
            url,
            json=dict(body) if isinstance(body, Mapping) else body,
            headers=dict(headers),
            timeout=TIMEOUT_S,
            follow_redirects=False,
        )
    except UnicodeEncodeError:
        # A header is ASCII. The error itself would show the token.
        return Refused("the connection's token has characters that no token has; set a new one")
    except httpx2.HTTPError as error:
        return Later(f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX])


def joined(url: str, further: str) -> str | None:
    """Where a redirect leads; None: to another origin, or nowhere. A token goes to no other."""
    if not further:
        return None
    try:
        here = httpx2.URL(url)
        target = here.join(further)
    except httpx2.InvalidURL:
        return None
    is_same = (here.scheme, here.host, here.port) == (target.scheme, target.host, target.port)
    return str(target) if is_same else None


def classify(answer: httpx2.Response, now: float, advice: Mapping[int, str] | None = None) -> Told:
    """What an answer means for the one who asked. Pure.

    `advice`: what to do about a code, where that is not what statuses with a token need.
    """
    code = answer.status_code
    if 200 <= code < 300:
        return Sent()
    reason = f"the forge answered {code}: {message_in(answer)}"
    if code in (408, 425, 429) or code >= 500:
        # What stands before a forge answers the others while that is away.
        return Later(reason, retry_after(answer.headers, now), broke=code == 500)
    # GitHub's secondary limit looks like a refusal, but for these headers.
    limited = answer.headers.get("x-ratelimit-remaining") == "0"
    if code == 403 and (limited or "retry-after" in answer.headers):
        return Later(reason, retry_after(answer.headers, now))
    if code == 403 and "rate limit" in reason.lower():
        # It may say so in words alone, and wants a minute then.
        return Later(reason, RATE_LIMIT_S)
    known = {**_ADVICE, **(advice or {})}
    return Refused(f"{reason}. {known.get(code, 'Check the connection.')}")


def problem_of(url: str) -> str | None:
    """Why no request can be made to this URL, or None."""
    try:
        port = httpx2.URL(url).port
    except httpx2.InvalidURL as error:
        return str(error)
    return None if port is None or port <= PORT_MAX else f"there is no port {port}"


_ADVICE = {
    301: "The repository has moved; register its new name.",
    307: "The repository has moved; register its new name.",
    308: "The repository has moved; register its new name.",
    401: "The connection's token is wrong or has expired; set a new one.",
    403: "The connection's token may not write commit statuses; give it that permission.",
    404: "The repository does not exist, or the connection's token may not see it.",
    422: "The commit is unknown there, or has too many statuses of this context.",
}


def message_in(answer: httpx2.Response) -> str:
    """The forge's own words, if it has any."""
    try:
        body: Any = msgspec.json.decode(answer.content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        body = None
    words = (body.get("message") or _inner_message(body)) if isinstance(body, dict) else None
    return shorten(str(words or answer.reason_phrase or "no reason given"), REASON_CHARS_MAX)


def _inner_message(body: dict[Any, Any]) -> object:
    """Bitbucket Cloud has its words in `error`, Data Center in the first of `errors`."""
    errors = body.get("errors")
    inner = errors[0] if isinstance(errors, list) and errors else body.get("error")
    return inner.get("message") if isinstance(inner, dict) else None


def retry_after(headers: httpx2.Headers, now: float) -> float | None:
    """Seconds until another try is welcome, or None; a date in Retry-After is not read."""
    wait = _number(headers.get("retry-after"))
    # GitLab's has no x-.
    reset = _number(headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset"))
    if wait is None and reset is not None:
        wait = max(0.0, reset - now)
    return None if wait is None else min(wait, RETRY_AFTER_S_MAX)


def _number(text: str | None) -> float | None:
    usable = text is not None and text.isascii() and text.isdecimal() and len(text) <= 12
    return float(text) if usable and text is not None else None
