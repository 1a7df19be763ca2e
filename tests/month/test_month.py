"""Months pass, and a month of something that is broken on purpose is found out."""

import pytest
import structlog

from ci_host.engine.renames import Renames
from pipelines.repo import Repo
from tests.month import queues
from tests.month.story import tell
from webhooks import status_api


@pytest.fixture(autouse=True)
def heard_again():
    """The log is off while a month is played."""
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("seed", range(3))
def test_every_head_is_built_once_and_told_right(seed: int) -> None:
    story = tell(seed)
    assert story.wrong == []
    # Else it says nothing.
    assert "(0 of them found by looking " not in story.words


def test_a_month_is_the_same_story_each_time() -> None:
    assert tell(3) == tell(3)


def test_without_looking_pushes_are_lost() -> None:
    assert any(one.startswith("not built") for one in tell(1, reconciles=False).wrong)


def test_a_status_that_follows_no_rename_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_api, "KEEPS_THE_METHOD", frozenset())
    # Not in every month something is told while its repository is renamed.
    assert any("its commit shows" in one for one in tell(2).wrong)


async def as_registered(self: Renames, id_: str, _name: str) -> Repo | None:
    """Whatever the event calls it."""
    return await self._book.repo(id_)


async def believed(_self: Renames, repo: Repo, *, within_s: float = 0.0) -> Repo:
    """Whoever has its name."""
    return repo


def test_without_following_renames_pushes_are_lost_and_a_strangers_are_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Renames, "repo", as_registered)
    monkeypatch.setattr(Renames, "check", believed)
    wrong = tell(3).wrong
    assert any(one.startswith("not built: moved/") for one in wrong)
    assert any(one.startswith("never was a head") for one in wrong)


async def unknown(_self: object, _place: object) -> None:
    """Nothing is known of any place."""


def test_statuses_that_overtake_each_other_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = queues.MonthQueue.__init__
    monkeypatch.setattr(
        queues.MonthQueue, "__init__", lambda self, *, in_order=False: made(self, in_order=False)
    )
    # Whoever knows which is the newest tells no older one; the order is for those who do not.
    monkeypatch.setattr(queues.MonthOutbox, "newest_of", unknown)
    # Not in every month two of one commit are under way at once.
    assert any("its commit shows" in one for seed in range(6, 9) for one in tell(seed).wrong)
