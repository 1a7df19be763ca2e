"""Delivery of comments: what is asked of who writes, and what becomes of each answer."""

from dataclasses import dataclass, field

import pytest

from ci_host.engine.comment_delivery import WRITES_APART_S, CommentDelivery
from ci_host.engine.status_delivery import BROKEN_RETRY_S
from tests.contract.test_comment_book import NoLogs, answer, report
from tests.owed import Feed, KeptOwed
from webhooks.forge import Refused, SendLater, Sent

pytestmark = pytest.mark.anyio


@dataclass
class Writer:
    """See CommentSender: answers what it was told to, then Sent."""

    answers: list[object] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    thumbs: list[str] = field(default_factory=list)

    async def show(self, *place, attempt: int):
        self.shown.append(place[-1])
        return self._next()

    async def react(self, *place, attempt: int):
        self.thumbs.append(place[-1])
        return self._next()

    def _next(self):
        told = self.answers.pop(0) if self.answers else Sent()
        if isinstance(told, Exception):
            raise told
        return told


async def delivered(writer: Writer, *items, on: bool = True) -> tuple[list[KeptOwed], list[float]]:
    owed, pauses = [KeptOwed(one) for one in items], []

    async def pause(delay_s: float) -> None:
        pauses.append(delay_s)

    await CommentDelivery(Feed(*owed), writer, NoLogs(), lambda *_: on, lambda: 10.0, pause).serve()
    return owed, pauses


async def test_a_thumb_that_is_not_let_is_said_in_words_instead() -> None:
    writer = Writer([Refused("Resource not accessible by integration")])
    (owed,), _ = await delivered(writer, answer("5"))
    assert owed.is_done and writer.thumbs == ["5"]
    assert writer.shown[0].endswith("\n`/staunch rerun` was done.\n")


async def test_a_limit_is_for_all_that_follows() -> None:
    writer = Writer([SendLater("limited", 90.0)])
    (first, second), pauses = await delivered(writer, report(), report(number=8))
    assert (first.waits, second.waits, len(writer.shown)) == ([90.0], [90.0], 1)
    assert pauses == []


async def test_what_is_refused_is_let_go_and_between_two_writes_there_is_a_pause() -> None:
    writer = Writer([Refused("locked")])
    owed, pauses = await delivered(writer, report(), report(number=8))
    assert all(one.is_done for one in owed) and pauses == [WRITES_APART_S] * 2


async def test_no_news_and_what_was_switched_off_ask_nobody() -> None:
    writer = Writer()
    quiet, _ = await delivered(writer, report(is_news=False))
    off, pauses = await delivered(writer, report(), on=False)
    assert all(one.is_done for one in [*quiet, *off])
    assert (writer.shown, pauses) == ([], [])


async def test_an_error_of_our_own_is_tried_again_later_and_ends_nothing() -> None:
    writer = Writer([RuntimeError("a case that nobody thought of")])
    (first, second), _ = await delivered(writer, report(), report(number=8))
    assert first.waits == [BROKEN_RETRY_S] and second.is_done
