"""Deliveries of repositories that were renamed: from a payload with another name to the Run."""

import asyncio

import msgspec
import pytest

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.source import GitSource
from ci_host.adapters.memory.trust import MemoryPulls
from ci_host.engine.named_pulls import NamedPulls
from ci_host.engine.named_source import NamedSource, ThreadsCheck
from ci_host.ports import SourceElsewhere, SourceRefused, SourceUnavailable
from tests.engine.delivery_world import PIPELINE, DeliveryWorld
from tests.repos import Repo as Checkout
from webhooks.forge import FoundRepo, Later, Refused

pytestmark = pytest.mark.anyio

ID = "4711"
OLD, NEW = "https://forge.example/waterways/lock.git", "https://forge.example/waterways/gate.git"
SCHEDULED = {
    ".staunch.py": "from staunch import on\n"
    "on.push(); on.schedule('0 3 * * *', name='nightly')\n"
    "async def run(event, step): ...\n"
}


class Placed:
    """A Source by URLs: `places` says which bare repository is at each."""

    def __init__(self):
        self.git = None
        self.places = {}

    def __getattr__(self, name):
        def act(repo, *given, **more):
            if repo.clone_url not in self.places:
                raise SourceElsewhere(f"{repo.name} is no longer at {repo.clone_url}")
            there = msgspec.structs.replace(repo, clone_url=str(self.places[repo.clone_url]))
            return getattr(self.git, name)(there, *given, **more)

        return act


class World(DeliveryWorld):
    """GitHub's repository 4711, waterways/lock, at OLD; its forge has an API."""

    def __init__(self, folder):
        own, theirs = folder / "own", folder / "theirs"
        own.mkdir()
        theirs.mkdir()
        self.stranger = Checkout(theirs)
        self.placed, checks = Placed(), []
        source = NamedSource(
            self.placed,
            lambda repo: self.renames.aside(repo),
            lambda repo, within_s: checks[0](repo, within_s),
        )
        super().__init__(own, ID, source)
        bares = Registered(paths=frozenset({self.checkout.bare, self.stranger.bare}))
        self.placed.git = GitSource(Mirrors(folder / "mirrors", lambda: bares))
        checks.append(ThreadsCheck(self.renames, asyncio.get_running_loop()))
        self.kept.known = msgspec.structs.replace(self.kept.known, clone_url=OLD)
        self.placed.places = {OLD: self.checkout.bare}
        self.forge_names.found = {"waterways/lock": FoundRepo(ID, "waterways/lock", OLD)}

    def rename(self):
        """It is waterways/gate from now on."""
        self.placed.places = {NEW: self.checkout.bare}
        moved = FoundRepo(ID, "waterways/gate", NEW)
        self.forge_names.found = {"waterways/gate": moved, "waterways/lock": moved}

    def be_taken(self):
        """A stranger has the old name."""
        self.placed.places[OLD] = self.stranger.bare
        self.forge_names.found["waterways/lock"] = FoundRepo("9", "waterways/lock", OLD)

    async def push(self, name, files=PIPELINE, delivery="d-1", forked=False):
        """A push to main, of which the forge tells by this name of the repository. `forked`: the
        stranger has its commit too, and others on main."""
        commit = self.checkout.commit(files)
        self.checkout.push()
        if forked:
            self.checkout.git("push", "-q", str(self.stranger.bare), f"{commit}:refs/heads/theirs")

        def change(payload):
            payload["repository"]["full_name"] = name
            payload["after"] = payload["head_commit"]["id"] = commit

        return commit, await self.take("github/push", change, delivery)


@pytest.fixture
async def world(tmp_path):
    return World(tmp_path)


async def test_a_push_under_the_new_name_is_built_from_the_new_place(world):
    world.rename()
    commit, outcome = await world.push("waterways/gate")
    started = await world.started(outcome)
    assert (started.event.commit, started.repo_name) == (commit, "waterways/gate")
    assert world.kept.known.clone_url == NEW


async def test_a_push_from_before_the_rename_is_built_at_the_next_try(world):
    world.rename()
    with pytest.raises(SourceUnavailable, match="is called waterways/gate by now"):
        await world.push("waterways/lock")
    _, outcome = await world.push("waterways/lock", delivery="d-2")
    assert (await world.started(outcome)).repo_name == "waterways/gate"


async def test_a_payload_with_another_repositorys_name_has_that_one_neither_cloned_nor_named(world):
    world.forge_names.found["mallory/evil"] = FoundRepo("9", "mallory/evil", NEW)
    world.placed.places[NEW] = world.stranger.bare
    commit, outcome = await world.push("mallory/evil")
    started = await world.started(outcome)
    assert (started.event.commit, started.repo_name) == (commit, "waterways/lock")
    assert world.kept.known.clone_url == OLD


async def test_without_an_api_a_push_that_cannot_be_fetched_says_what_to_do(world):
    world.rename()
    world.forge_names.found = None
    _, outcome = await world.push("waterways/gate")
    assert outcome.runs == []
    assert "waterways/lock is no longer at" in outcome.reason
    assert "an event calls it waterways/gate" in outcome.reason
    assert "`staunch repo add" in outcome.reason


async def test_a_push_that_was_not_fetched_is_left_to_whoever_looks_at_the_refs(world):
    world.rename()
    world.forge_names.found = None
    await world.push("waterways/gate")
    (word,) = (await world.hearsay.told(world.kept.known.id, ["refs/heads/main"])).values()
    assert word.commit == ""


async def test_what_a_stranger_has_under_the_old_name_is_no_schedule_of_ours(world):
    world.be_taken()
    world.stranger.commit(SCHEDULED)
    world.stranger.push()
    commit, outcome = await world.push("waterways/lock", SCHEDULED, forked=True)
    # A commit is that commit, from wherever it comes.
    assert (await world.started(outcome)).event.commit == commit
    assert "its schedules stay as they were: waterways/lock is another repository" in outcome.reason


@pytest.mark.parametrize("act", ["tip", "head", "is_on", "find"])
async def test_nothing_that_a_name_alone_leads_to_is_read_of_a_stranger(world, act):
    commit = world.checkout.commit(PIPELINE)
    world.checkout.push()
    main = "refs/heads/main"
    given = {"tip": (main,), "head": (), "is_on": (commit, main), "find": (commit, main)}[act]
    read = getattr(world.source, act)
    assert await asyncio.to_thread(read, world.kept.known, *given)
    # It was said a moment ago.
    world.renames._own.clear()
    world.be_taken()
    world.placed.places[OLD] = world.checkout.bare
    with pytest.raises(SourceRefused, match="another repository now"):
        await asyncio.to_thread(read, world.kept.known, *given)
    world.forge_names.found["waterways/lock"] = Later("502")
    with pytest.raises(SourceUnavailable, match="502"):
        await asyncio.to_thread(read, world.kept.known, *given)


async def test_who_may_write_to_a_strangers_repository_commands_nothing_in_ours(world):
    pulls = MemoryPulls()
    named = NamedPulls(pulls, world.renames)
    repo = world.kept.known
    pulls.writers = {"ada": True, "eve": False}
    assert await named.may_write(repo, "ada") is True
    assert await named.may_write(repo, "eve") is False
    world.be_taken()
    told = await named.may_write(repo, "ada")
    assert isinstance(told, Refused)
    assert "another repository now" in told.reason
    world.forge_names.found["waterways/lock"] = Later("502")
    assert await named.may_write(repo, "ada") == Later("502")
