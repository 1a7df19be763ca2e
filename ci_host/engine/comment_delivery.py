"""CommentDelivery: what is kept for pull requests to their Forge, one at a time.

Beside the Statuses, with a queue of its own: whatever a Forge says to a comment holds up nothing
else. While the Forge is away, what is newer replaces what waits, so that it hears the last word of
each pull request and not all before it.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ci_host.comment_ports import CommandAnswer, CommentSender, LogTails, PullReport
from ci_host.engine.pull_comment import (
    LOG_LINES_MAX,
    answer_text,
    comment_text,
    marker_of,
    marker_of_answer,
)
from ci_host.engine.status_delivery import BROKEN_RETRY_S
from ci_host.ports import Owed, Queue
from webhooks.forge import Refused, SendLater, Sent

# GitHub asks for a second between two requests that write.
WRITES_APART_S = 1.0

log = structlog.get_logger()


class CommentDelivery:
    """Those of one Connection. `writes` as in PullReports: it may be switched off meanwhile.
    `now`: seconds on a clock that only goes on."""

    def __init__(
        self,
        outbox: Queue[PullReport | CommandAnswer],
        sender: CommentSender,
        tails: LogTails,
        writes: Callable[[str, str, str], bool],
        now: Callable[[], float],
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._outbox, self._sender, self._tails = outbox, sender, tails
        self._writes, self._now, self._pause = writes, now, pause
        self._not_before = 0.0

    async def serve(self) -> None:
        """Deliver for ever."""
        async for owed in self._outbox:
            await self._deliver(owed)

    async def _deliver(self, owed: Owed[PullReport | CommandAnswer]) -> None:
        # What replaced a report that waits is handed out at once, and has to wait as long.
        if (wait_s := self._not_before - self._now()) > 0:
            return await owed.later(wait_s)
        one = owed.item
        place = {"connection": one.connection, "repo": one.repo_name, "number": one.number}
        try:
            told = await self._send(one, owed.times)
        except Exception:  # the edge: one Forge's trouble must not end the host
            log.exception("comment_broke", **place, delay_s=BROKEN_RETRY_S)
            await owed.later(BROKEN_RETRY_S)
            return
        match told:
            case None:
                return await owed.done()
            case Sent():
                await owed.done()
            case Refused(reason):
                log.error("comment_refused", **place, reason=reason)
                await owed.done()
            case SendLater(reason, retry_after_s):
                log.warning("comment_later", **place, reason=reason, delay_s=retry_after_s)
                self._not_before = self._now() + retry_after_s
                return await owed.later(retry_after_s)
        await self._pause(WRITES_APART_S)

    async def _send(
        self, one: PullReport | CommandAnswer, attempt: int
    ) -> Sent | SendLater | Refused | None:
        """None: there is nothing to say."""
        at = (one.connection, one.repo, one.repo_name, one.number)
        if isinstance(one, CommandAnswer):
            if one.accepted:
                told = await self._sender.react(*at, one.comment, attempt=attempt)
                if not isinstance(told, Refused):
                    return told
                # Whoever may comment may not always react: then it is said in words.
            marker, text = marker_of_answer(one), answer_text(one)
        elif not one.is_news or not self._writes(*at[:3]):
            return None
        else:
            marker, text = marker_of(one), await self._text(one)
        return await self._sender.show(*at, marker, text, attempt=attempt)

    async def _text(self, report: PullReport) -> str:
        failed = [job for line in report.lines.values() for job in line.failed]
        tails = {
            job.job: await self._tails.last_lines(job.job, job.log_bytes, LOG_LINES_MAX)
            for job in failed
            if job.log_bytes
        }
        return comment_text(report, tails)
