"""Reading: GET of a forge's API, and what its answers mean. For questions; telling is elsewhere.

Never raises for what network or forge do. A redirect is followed within the connection's own
origin alone, as forges answer after a rename: a token goes nowhere else.
"""

from collections.abc import Mapping
from typing import TypeVar

import httpx2
import msgspec

from webhooks.forge import Later, Refused, Sent
from webhooks.status_api import REASON_CHARS_MAX, TIMEOUT_S, classify, problem_of

REDIRECTS_MAX = 3
ANSWER_BYTES_MAX = 5_000_000

T = TypeVar("T")


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
        answer = await self._answer(f"{self._base}{path}")
        if not isinstance(answer, httpx2.Response):
            return answer
        told = classify(answer, self._now)
        if not isinstance(told, Sent):
            return told
        try:
            return msgspec.json.decode(answer.content, type=shape)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            said = f"{path} of the forge's API is not as documented: {error}"
            return Refused(said[:REASON_CHARS_MAX])

    async def exists(self, path: str) -> bool | Later | Refused:
        """Whether there is anything there: False is a 404, and no other refusal."""
        answer = await self._answer(f"{self._base}{path}")
        if not isinstance(answer, httpx2.Response):
            return answer
        if answer.status_code == 404:
            return False
        told = classify(answer, self._now)
        return True if isinstance(told, Sent) else told

    async def _answer(self, url: str) -> httpx2.Response | Later | Refused:
        if (problem := problem_of(url)) is not None:
            return Refused(f"{url} is no URL: {problem}. Correct the connection's api_url.")
        try:
            for _ in range(REDIRECTS_MAX + 1):
                answer = await self._client.get(
                    url, headers=dict(self._headers), timeout=TIMEOUT_S, follow_redirects=False
                )
                further = answer.headers.get("location", "")
                if answer.status_code not in (301, 302, 307, 308) or not further:
                    return _fitting(answer)
                target = httpx2.URL(url).join(further)
                if not _is_same_origin(httpx2.URL(url), target):
                    return Refused(
                        f"the forge sends us from {url} to another host; correct api_url"
                    )
                url = str(target)
        except UnicodeEncodeError:
            # A header is ASCII. The error itself would show the token.
            return Refused("the connection's token has characters that no token has; set a new one")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Later(f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX])
        return Refused(f"{url} leads in a circle")


def _fitting(answer: httpx2.Response) -> httpx2.Response | Refused:
    if len(answer.content) > ANSWER_BYTES_MAX:
        return Refused(f"the forge's answer has more than {ANSWER_BYTES_MAX} bytes")
    return answer


def _is_same_origin(one: httpx2.URL, other: httpx2.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
