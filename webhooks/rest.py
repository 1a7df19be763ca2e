"""Rest: calls of a forge's REST API, and what its answers mean. Statuses have their own way.

Never raises for what network or forge do. A redirect is followed within the connection's own
origin alone, as forges answer after a rename: a token goes nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from webhooks.forge import Later, Refused, Sent, Unchanged
from webhooks.status_api import (
    KEEPS_THE_METHOD,
    REASON_CHARS_MAX,
    TIMEOUT_S,
    classify,
    joined,
    problem_of,
)

REDIRECTS_MAX = 3
ANSWER_BYTES_MAX = 5_000_000
PAGES_MAX = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """What a list held. `etag`: by which one may ask whether it has changed; empty: one may not.
    `is_whole` False: it had more pages than were read."""

    items: list[T]
    etag: str = ""
    is_whole: bool = True


class ForgeApi:
    """One connection's API: where it is, and who asks."""

    def __init__(
        self, base: str, headers: Mapping[str, str], client: httpx2.AsyncClient, now: float
    ) -> None:
        """`base`: without a slash at its end. `now`: seconds since the epoch."""
        self._base, self._headers = base, headers
        self._client, self._now = client, now

    async def get(self, path: str, shape: type[T]) -> T | Later | Refused:
        """The JSON there. `path` begins with a slash; what is put into it must be quoted."""
        return self._as(shape, path, await self._followed(f"{self._base}{path}"))

    async def listed(
        self,
        path: str,
        shape: type[T],
        known: str = "",
        *,
        enough: Callable[[T], bool] = lambda _: False,
        pages_max: int = PAGES_MAX,
    ) -> Listed[T] | Unchanged | Later | Refused:
        """All pages of a list, the first `pages_max` at most. `path`: with a query, no page in it.

        `known`: the etag of the answer before. A list of several pages has none: what is on its
        later pages may change while the first stays as it is. `enough`: of the last one of a page,
        whether those after it are not wanted.
        """
        items: list[T] = []
        # The first needs no word of it, and lists that go on by cursors know none.
        page = ""
        for number in range(1, pages_max + 1):
            url = f"{self._base}{path}{page}"
            answer = await self._followed(url, {"If-None-Match": known} if known else {})
            if isinstance(answer, httpx2.Response) and answer.status_code == 304 and known:
                return Unchanged()
            found = self._as(list[shape], path, answer)  # type: ignore[valid-type]
            if isinstance(found, Later | Refused):
                return found
            assert isinstance(answer, httpx2.Response), "what was read is an answer"
            items += found
            known = ""
            further = answer.links.get("next", {}).get("url", "")
            if not further or not items or enough(items[-1]):
                return Listed(items, answer.headers.get("etag", "") if number == 1 else "")
            # Its host and path are none of the answer's business, only where in the list to go on.
            cursor = httpx2.QueryParams(urlsplit(further).query).get("cursor")
            page = f"&cursor={quote(cursor, safe='')}" if cursor else f"&page={number + 1}"
        return Listed(items, is_whole=False)

    async def send(
        self, method: str, path: str, body: Mapping[str, object] | None, shape: type[T]
    ) -> T | Later | Refused:
        """Have something made or changed, and the JSON of the answer. No redirect is followed: what
        is at another address by now is not what was meant."""
        answer = await self._asked(method, f"{self._base}{path}", body)
        return self._as(shape, path, answer)

    async def change(
        self, method: str, path: str, body: Mapping[str, object]
    ) -> int | Later | Refused:
        """As `send`, where the code of the answer says all: that of success, or 404.

        For what is named by its own id, and so is the same at another address: that is followed.
        """
        url = f"{self._base}{path}"
        answer = await self._asked(method, url, body)
        if isinstance(answer, httpx2.Response) and answer.status_code in KEEPS_THE_METHOD:
            further = joined(url, answer.headers.get("location", ""))
            answer = answer if further is None else await self._asked(method, further, body)
        if not isinstance(answer, httpx2.Response):
            return answer
        told = classify(answer, self._now)
        if isinstance(told, Sent) or answer.status_code == 404:
            return answer.status_code
        return told

    def _as(
        self, shape: type[T], path: str, answer: httpx2.Response | Later | Refused
    ) -> T | Later | Refused:
        if not isinstance(answer, httpx2.Response):
            return answer
        told = classify(answer, self._now)
        if not isinstance(told, Sent):
            return told
        try:
            return msgspec.json.decode(answer.content or b"null", type=shape)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            said = f"{path} of the forge's API is not as documented: {error}"
            return Refused(said[:REASON_CHARS_MAX])

    async def _followed(
        self, url: str, more: Mapping[str, str] | None = None
    ) -> httpx2.Response | Later | Refused:
        first = url
        for _ in range(REDIRECTS_MAX + 1):
            answer = await self._asked("GET", url, None, more)
            if not isinstance(answer, httpx2.Response):
                return answer
            further = answer.headers.get("location", "")
            if answer.status_code not in (301, 302, 307, 308) or not further:
                return answer
            target = joined(url, further)
            if target is None:
                return Refused(f"the forge sends us from {url} to another host; correct api_url")
            url = target
        return Refused(f"{first} leads in a circle")

    async def _asked(
        self,
        method: str,
        url: str,
        body: Mapping[str, object] | None,
        more: Mapping[str, str] | None = None,
    ) -> httpx2.Response | Later | Refused:
        if (problem := problem_of(url)) is not None:
            return Refused(f"{url} is no URL: {problem}. Correct the connection's api_url.")
        try:
            answer = await self._client.request(
                method,
                url,
                json=None if body is None else dict(body),
                headers={**self._headers, **(more or {})},
                timeout=TIMEOUT_S,
                follow_redirects=False,
            )
        except UnicodeEncodeError:
            # A header is ASCII. The error itself would show the token.
            return Refused("the connection's token has characters that no token has; set a new one")
        except httpx2.HTTPError as error:
            return Later(f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX])
        if len(answer.content) > ANSWER_BYTES_MAX:
            return Refused(f"the forge's answer has more than {ANSWER_BYTES_MAX} bytes")
        return answer


def without_user(url: str) -> str:
    """An address without whom it was told to: some forges put the asker's name into it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
