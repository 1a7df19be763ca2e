"""What is known of refs, and what was told of them, is kept with the same promises everywhere."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.git.refs import REFS_BYTES_MAX
from ci_host.adapters.memory.sights import MemoryHearsay, MemorySights
from ci_host.adapters.nats.bus import LASTS_MAX
from ci_host.adapters.nats.sights import NatsHearsay, NatsSights
from ci_host.ports import Conflict, Unavailable
from ci_host.ref_ports import Hearsay, NotCompared, Sight, Sights, Word
from tests.patience import PATIENCE_S
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

REPO = "git/a repo, with * and > in it"
SIGHT = Sight(repo=REPO, at=1.5, refs={"refs/heads/main": "a" * 40, 'refs/tags/"ü"': "b" * 40})
WORD = Word(repo=REPO, ref="refs/heads/main", commit="a" * 40, at=2.5)
AWAY = NotCompared(connection="git", reason="it does not answer", since=3.5)


@dataclass(frozen=True)
class Place:
    """Both stores."""

    sights: Sights
    hearsay: Hearsay

    async def arrived(self, word: Word) -> None:
        """Until this has been stored, and so what was told before it."""
        await stored(self.hearsay, word)


async def stored(hearsay: Hearsay, word: Word) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await hearsay.told(word.repo, [word.ref])).get(word.ref) != word:
            await asyncio.sleep(0.002)


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        yield Place(MemorySights(), MemoryHearsay())
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield Place(NatsSights(bus), NatsHearsay(bus))


async def test_a_repo_that_was_never_looked_at_has_no_sight(place):
    assert await place.sights.read(REPO) == (0, None)


async def test_what_was_written_is_read_with_its_revision(place):
    first = await place.sights.write(SIGHT, after=0)
    assert await place.sights.read(REPO) == (first, SIGHT)
    empty = Sight(repo=REPO, at=2.0, refs={})
    second = await place.sights.write(empty, after=first)
    assert second > first
    assert await place.sights.read(REPO) == (second, empty)
    assert await place.sights.read("git/other") == (0, None)


async def test_whoever_read_an_older_one_does_not_write(place):
    first = await place.sights.write(SIGHT, after=0)
    with pytest.raises(Conflict):
        await place.sights.write(SIGHT, after=0)
    second = await place.sights.write(SIGHT, after=first)
    with pytest.raises(Conflict):
        await place.sights.write(SIGHT, after=first)
    assert (await place.sights.read(REPO))[0] == second


async def test_of_many_that_write_at_once_exactly_one_does(place):
    writes = (place.sights.write(SIGHT, after=0) for _ in range(10))
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 9


async def test_as_many_refs_as_are_ever_read_fit_into_a_sight(place):
    lines, names = 0, {}
    while lines < REFS_BYTES_MAX:
        # What takes most room in JSON beside what it takes in git's list.
        name = f"refs/heads/{len(names):05}" + '"' * 900
        names[name] = "a" * 40
        lines += len(name) + 42
    sight = Sight(repo=REPO, at=1.0, refs=names)
    await place.sights.write(sight, after=0)
    assert (await place.sights.read(REPO))[1] == sight


async def test_what_is_not_compared_is_told_once_for_each_and_taken_back(place):
    repo = NotCompared(connection="git", repo=REPO, reason="it is refused", since=4.5)
    await place.sights.tell(AWAY)
    await place.sights.tell(repo)
    again = msgspec.structs.replace(AWAY, reason="it answers 502")
    await place.sights.tell(again)
    assert sorted(await place.sights.not_compared(), key=lambda one: one.since) == [again, repo]
    await place.sights.take_back("git")
    await place.sights.take_back("never told")
    assert await place.sights.not_compared() == [repo]
    await place.sights.tell(AWAY)
    assert len(await place.sights.not_compared()) == 2


async def test_what_is_not_compared_is_no_sight_and_changes_none(place):
    revision = await place.sights.write(SIGHT, after=0)
    await place.sights.tell(NotCompared(connection="git", repo=REPO, reason="gone", since=1.0))
    await place.sights.take_back(REPO)
    assert await place.sights.read(REPO) == (revision, SIGHT)


async def test_the_newest_word_of_a_ref_is_the_one_that_counts(place):
    newer = msgspec.structs.replace(WORD, commit="", at=9.0)
    await place.hearsay.tell(WORD)
    await place.hearsay.tell(newer)
    await place.arrived(newer)
    assert await place.hearsay.told(REPO, [WORD.ref]) == {WORD.ref: newer}


async def test_only_words_of_these_refs_of_this_repo_are_answered(place):
    other = msgspec.structs.replace(WORD, ref="refs/tags/v 1.*")
    await place.hearsay.tell(WORD)
    await place.hearsay.tell(other)
    elsewhere = msgspec.structs.replace(WORD, repo="git/other")
    await place.hearsay.tell(elsewhere)
    await place.arrived(elsewhere)
    assert await place.hearsay.told(REPO, []) == {}
    assert await place.hearsay.told(REPO, ["refs/heads/unheard"]) == {}
    wanted = [other.ref, "refs/heads/unheard"]
    assert await place.hearsay.told(REPO, wanted) == {other.ref: other}
    assert await place.hearsay.told("git/a", [WORD.ref]) == {}


async def test_any_number_of_refs_can_be_asked_for(place):
    refs = [f"refs/heads/{number}" for number in range(2 * LASTS_MAX + 1)]
    for ref in refs[::2]:
        word = msgspec.structs.replace(WORD, ref=ref)
        await place.hearsay.tell(word)
    await place.arrived(word)
    assert sorted(await place.hearsay.told(REPO, refs)) == sorted(refs[::2])


@pytest.mark.nats
async def test_a_server_that_is_away_is_said_by_all_but_the_one_who_tells(tmp_path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            sights, hearsay = NatsSights(bus), NatsHearsay(bus)
            server.kill()
            await hearsay.tell(WORD)
            calls = (
                sights.read(REPO),
                sights.write(SIGHT, after=0),
                sights.not_compared(),
                sights.tell(AWAY),
                sights.take_back("git"),
                hearsay.told(REPO, [WORD.ref]),
            )
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(answer, Unavailable)


@pytest.mark.nats
async def test_all_of_it_outlives_a_server_that_was_killed(tmp_path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            revision = await NatsSights(bus).write(SIGHT, after=0)
            await NatsSights(bus).tell(AWAY)
            await NatsHearsay(bus).tell(WORD)
            await stored(NatsHearsay(bus), WORD)
            server.kill()
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            assert await NatsSights(bus).read(REPO) == (revision, SIGHT)
            assert await NatsSights(bus).not_compared() == [AWAY]
            assert await NatsHearsay(bus).told(REPO, [WORD.ref]) == {WORD.ref: WORD}
