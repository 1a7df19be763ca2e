"""Pipelines that are skipped: by the commit's message, or because none of their paths changed."""

import pytest

from pipelines.event import Event, EventKind, Scheduled
from pipelines.status import Standing, StatusState, context_of
from pipelines.trust import Author, PullFacts
from tests.engine.delivery_world import DeliveryWorld

pytestmark = pytest.mark.anyio

ID = "4711"
PLAN = "\nasync def run(event, step): ...\n"


def plan(*lines: str) -> str:
    return "from staunch import on\n" + "\n".join(lines) + PLAN


FILES = {
    ".staunch/web.py": plan("on.push(paths=['web/*'])", "on.pull_request(paths=['web/*'])"),
    ".staunch/all.py": plan("on.push(paths_ignore=['docs/*'])"),
}


class World(DeliveryWorld):
    def __init__(self, folder) -> None:
        super().__init__(folder, ID)

    async def pushed(
        self, branch: str = "main", before: str = "0" * 40, delivery: str = "", message: str = ""
    ):
        """The webhook of a push of what is checked out; the payload says nothing of its files."""
        commit = self.checkout.git("rev-parse", "HEAD")
        self.checkout.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/{branch}")

        def change(payload):
            payload.update(ref=f"refs/heads/{branch}", after=commit, before=before)
            payload["head_commit"].update(id=commit, message=message, modified=["web/x"])

        return await self.take("github/push", change, delivery or commit)

    def commit(self, files: dict[str, str], message: str = "") -> str:
        commit = self.checkout.commit(files)
        if message:
            self.checkout.git("commit", "-q", "--amend", "-m", message)
            commit = self.checkout.git("rev-parse", "HEAD")
        return commit

    async def names(self, outcome) -> list[str]:
        return sorted([(await self.history.started(run)).pipeline for run in outcome.runs])

    def told(self) -> list[tuple[str, str]]:
        return [(one.context, one.description) for one in self.kept.statuses]


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("mark", ["[skip ci]", "[ci skip]", "[Skip Staunch]", "x\n\ny [SKIP CI] z"])
async def test_a_push_is_skipped_by_its_commits_message_and_no_check_stays_pending(world, mark):
    commit = world.commit(FILES, mark)
    outcome = await world.pushed()
    assert (outcome.state, outcome.runs) == ("ignored", [])
    assert outcome.reason == (
        "all is skipped by its commit message; web is skipped by its commit message"
    )
    assert world.told() == [
        ("staunch/all", "skipped by its commit message"),
        ("staunch/web", "skipped by its commit message"),
    ]
    for status in world.kept.statuses:
        assert (status.commit, status.state) == (commit, StatusState.SUCCESS)
        assert status.standing is Standing.SKIPPED


@pytest.mark.parametrize("words", ["skip ci", "[skip  ci]", "[skip ci", "[skip-ci]", "[ci]"])
async def test_what_only_looks_like_it_skips_nothing(world, words):
    world.commit({".staunch.py": plan("on.push()")}, f"about {words}")
    assert len((await world.pushed()).runs) == 1


async def test_git_says_what_the_message_is_and_not_the_payload(world):
    world.commit({".staunch.py": plan("on.push()")}, "plain")
    assert len((await world.pushed(message="[skip ci]")).runs) == 1


async def test_only_what_would_have_run_is_told_to_be_skipped(world):
    world.commit({".staunch.py": plan("on.push(branches=['other'])")}, "[skip ci]")
    outcome = await world.pushed()
    assert "no pipeline runs on push" in outcome.reason
    assert world.told() == []


async def test_a_push_whose_files_have_no_run_says_what_they_lack(world):
    commit = world.commit({".staunch/pipeline.py": "async def main(event, step): ...\n"})
    outcome = await world.pushed()
    said = f"commit {commit}: no file of it has `async def run(event, step)`"
    assert (outcome.state, outcome.reason) == ("ignored", said)


async def test_a_tag_on_such_a_commit_runs_all_the_same(world):
    world.commit({".staunch.py": plan("on.tag()")}, "[skip ci]")
    commit = world.checkout.git("rev-parse", "HEAD")
    world.checkout.git("tag", "v1.2.0")
    world.checkout.git("push", "-q", "origin", "v1.2.0")

    def change(payload):
        payload.update(ref="refs/tags/v1.2.0", after=commit)
        payload["head_commit"]["id"] = commit

    assert len((await world.take("github/push_annotated_tag", change)).runs) == 1


async def test_of_a_push_those_run_whose_paths_changed_and_the_others_are_a_success(world):
    before = world.commit(FILES)
    await world.pushed()
    world.kept.statuses.clear()
    world.commit({"src/a": "1"})
    outcome = await world.pushed(before=before)
    assert await world.names(outcome) == ["all"]
    assert outcome.reason == "web is skipped: no changed path matches"
    (told,) = world.kept.statuses
    assert (told.context, told.state) == ("staunch/web", StatusState.SUCCESS)
    assert told.standing is Standing.SKIPPED
    before = world.checkout.git("rev-parse", "HEAD")
    world.commit({"web/a": "1"})
    assert await world.names(await world.pushed(before=before)) == ["all", "web"]
    before = world.checkout.git("rev-parse", "HEAD")
    world.commit({"docs/a": "1"})
    assert (await world.pushed(before=before)).state == "ignored"


async def test_where_nobody_can_say_what_changed_all_run(world):
    world.commit(FILES)
    # The first push of the default branch.
    assert await world.names(await world.pushed()) == ["all", "web"]


async def test_a_new_branch_is_compared_with_the_default_one(world):
    world.commit(FILES)
    await world.pushed()
    world.commit({"docs/a": "1"})
    outcome = await world.pushed("topic")
    assert (outcome.state, outcome.runs) == ("ignored", [])


async def test_a_run_that_has_begun_is_not_skipped_when_its_push_is_told_again(world):
    world.commit(FILES)
    first = await world.pushed()
    world.kept.statuses.clear()
    before = world.checkout.git("rev-parse", "HEAD")
    again = await world.pushed(before=before, delivery="again")
    assert again.runs == first.runs
    assert world.told() == []


async def test_of_a_pull_request_all_counts_that_it_changes_and_nothing_of_its_base(world):
    world.commit(FILES)
    await world.pushed()
    world.kept.statuses.clear()
    world.commit({"web/a": "1"})
    head = world.commit({"docs/a": "1"})
    outcome = await pull(world, head)
    assert await world.names(outcome) == ["web"]
    world.checkout.git("reset", "-q", "--hard", "HEAD^^")
    other = world.commit({"docs/b": "1"})
    outcome = await pull(world, other)
    assert (outcome.state, outcome.reason) == ("ignored", "web is skipped: no changed path matches")
    assert world.told() == [("staunch/web (pull request)", "skipped: no changed path matches")]


async def test_a_push_that_skips_itself_says_nothing_over_the_run_of_its_pull_request(world):
    head = world.commit({".staunch/web.py": plan("on.push()", "on.pull_request()")}, "[skip ci]")
    run = await world.started(await pull(world, head))
    of_run = context_of(run.event, run.pipeline)
    assert (await world.pushed("change")).state == "ignored"
    assert world.told() == [("staunch/web", "skipped by its commit message")]
    assert of_run == "staunch/web (pull request)"


def test_what_each_kind_of_event_came_to_has_a_name_of_its_own() -> None:
    at = Scheduled(name="nightly", cron="0 3 * * *", tz="UTC", due=0.0, overlap="skip")
    names = {
        kind: context_of(Event(kind=kind, schedule=at if kind == "schedule" else None), "ci")
        for kind in EventKind
        if not kind.endswith("_delete")
    }
    assert names == {
        EventKind.PUSH: "staunch/ci",
        EventKind.PULL_REQUEST: "staunch/ci (pull request)",
        # What a queue is to merge is asked for the very check that its pull requests needed.
        EventKind.MERGE_GROUP: "staunch/ci (pull request)",
        EventKind.TAG: "staunch/ci (tag)",
        EventKind.RELEASE: "staunch/ci (release)",
        EventKind.MANUAL: "staunch/ci (manual)",
        EventKind.SCHEDULE: "staunch/ci (nightly)",
    }
    assert context_of(Event(kind=EventKind.PULL_REQUEST)) == "staunch (pull request)"


async def pull(world: World, head: str):
    """The webhook of pull request 7 at that head, of a branch of the repository."""
    world.checkout.git("push", "-q", "-f", "origin", f"{head}:refs/pull/7/head")
    world.pulls.told[7] = PullFacts(
        head_repo=ID, base_repo=ID, base_ref="main", head_commit=head, author=Author.MEMBER
    )

    def change(payload):
        payload["pull_request"]["head"]["sha"] = head
        payload["pull_request"]["base"]["ref"] = "main"

    return await world.take("github/pull_request_opened", change, head)
