"""Outgoing: Announcements as calls of others' webhooks, signed as Standard Webhooks say
(https://www.standardwebhooks.com), each a CloudEvents 1.0 event in its JSON form.

It keeps nothing: whoever calls it owns the queue and counts the attempts.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import msgspec

from pipelines.announcement import TYPE_PREFIX, Announcement, Subscription
from webhooks.forge import Gone, Refused, SendLater, Sent
from webhooks.signature import sign_standard, standard_key
from webhooks.status_api import message_in, problem_of, retry_after

CONTENT_TYPE = "application/cloudevents+json"
SEND_TIMEOUT_S = 15.0
RETRY_S_FIRST = 5.0
RETRY_S_MAX = 3_600.0
# Three days, with the waits above.
TRIES_MAX = 80
# What a receiver calls wrong will seldom be right later, and must not hold up what follows.
REFUSED_TRIES_MAX = 8
ANSWER_BYTES_MAX = 16_384
KEPT = ("retry-after", "content-type")
TRANSIENT = frozenset({408, 425, 429})


def cloud_event(one: Announcement, source: str) -> bytes:
    """An Announcement as it is sent, and as it is streamed. `source`: the installation's URL."""
    moment = datetime.fromtimestamp(one.at, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": one.id,
            "source": source,
            "type": f"{TYPE_PREFIX}{one.kind}",
            "subject": one.run,
            "time": moment.replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": one.data,
        }
    )


def signed_headers(message_id: str, body: bytes, secrets: list[str], now: float) -> dict[str, str]:
    """The headers of Standard Webhooks. A receiver that knows any of the secrets is content."""
    moment = str(int(now))
    signatures = [sign_standard(message_id, moment, body, standard_key(one)) for one in secrets]
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        "user-agent": "Staunch",
    }


class Outgoing:
    """Sends over one HTTP client. `source`: this installation's URL. `dice`: in [0, 1)."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        source: str,
        *,
        dice: Callable[[], float],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._source = client, source
        self._dice, self._now = dice, now

    async def send(
        self, subscription: Subscription, one: Announcement, *, attempt: int
    ) -> Sent | SendLater | Refused | Gone:
        """One try. Never raises for what network or receiver do."""
        if (problem := problem_of(subscription.url)) is not None:
            return Gone(f"its URL cannot be called: {problem}")
        body = cloud_event(one, self._source)
        headers = signed_headers(one.id, body, subscription.secrets, self._now())
        try:
            answer = await self._answer(subscription.url, body, headers)
        except (httpx2.HTTPError, OSError) as error:
            reason = f"no answer: {str(error) or type(error).__name__}"
            return self._again(reason, attempt, TRIES_MAX, 0.0)
        return self._judged(answer, attempt)

    async def _answer(self, url: str, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        """No more of it than its reason. Where it leads on to, nobody has allowed to be called."""
        async with self._client.stream(
            "POST",
            url,
            content=body,
            headers=headers,
            timeout=SEND_TIMEOUT_S,
            follow_redirects=False,
        ) as answer:
            content = b""
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > ANSWER_BYTES_MAX:
                    break
            kept = {name: answer.headers[name] for name in KEPT if name in answer.headers}
            return httpx2.Response(answer.status_code, headers=kept, content=content)

    def _judged(self, answer: httpx2.Response, attempt: int) -> Sent | SendLater | Refused | Gone:
        code = answer.status_code
        if 200 <= code < 300:
            return Sent()
        reason = f"it answered {code}: {message_in(answer)}"
        if code == 410:
            return Gone(f"{reason} (410 says that it wants nothing any more)")
        if 300 <= code < 400:
            reason += "; a redirect is not followed: give the address that it leads to"
        tries_max = TRIES_MAX if code >= 500 or code in TRANSIENT else REFUSED_TRIES_MAX
        wished = retry_after(answer.headers, self._now()) or 0.0
        return self._again(reason, attempt, tries_max, wished)

    def _again(
        self, reason: str, attempt: int, tries_max: int, wished_s: float
    ) -> SendLater | Refused:
        if attempt >= tries_max:
            return Refused(f"given up after {attempt} tries: {reason}")
        full = min(RETRY_S_MAX, RETRY_S_FIRST * 2.0 ** min(attempt - 1, 16))
        return SendLater(reason, max(full * (0.5 + self._dice() / 2), wished_s))
