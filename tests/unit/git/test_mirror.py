import fcntl
import shutil
import threading

import pytest

from ci_host.adapters.git.bundle import read_bundle
from ci_host.adapters.git.errors import CommitGone, FetchFailed, GitError, NameRefused, RepoGone
from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.source import GitSource
from ci_host.ports import Missing, SourceRefused, Unavailable
from ci_host.ports import NoPipeline as NoPipelineHere
from pipelines.failure import FailureKind
from pipelines.ids import RunId

RUN = RunId("2-0f3a9c0f3a9c0f3a9c0f")
PIPELINE = {".staunch/pipeline.py": "async def run(event, step): ...\n"}


def check(world, commit, ref="refs/heads/main"):
    """Fetch, and see that the commit is there with everything that it needs."""
    world.mirrors.fetch(world.repo, commit, ref)
    assert world.mirrors.has(world.repo, commit)
    world.git("rev-list", "--objects", "--quiet", commit, cwd=world.mirror)


def test_a_commit_is_fetched_with_its_history(world):
    world.commit(PIPELINE)
    check(world, world.commit({"a": "1"}))
    assert world.git("rev-list", "--count", "refs/staunch/tips/" + tips(world)[0],
                     cwd=world.mirror) == "2"  # fmt: skip


def tips(world) -> list[str]:
    refs = world.git("for-each-ref", "--format=%(refname)", "refs/staunch/tips", cwd=world.mirror)
    return [ref.removeprefix("refs/staunch/tips/") for ref in refs.splitlines()]


def test_a_commit_that_is_there_needs_no_network(world):
    commit = world.commit(PIPELINE)
    check(world, commit)
    shutil.rmtree(world.upstream)
    check(world, commit)


def test_a_commit_is_found_by_its_id_when_its_branch_has_moved_on_or_is_gone(world):
    first = world.commit(PIPELINE)
    world.commit({"a": "2"})
    check(world, first)
    other = world.commit({"a": "3"}, branch="other")
    world.git("push", "-q", "origin", ":other")
    check(world, other, "refs/heads/other")


@pytest.mark.parametrize(
    "branch", ['a";id;"', "$(touch${IFS}x)", "`id`", "-x", "--upload-pack=touch", "a'b&c|d", "ünï"]
)
def test_a_branch_of_shell_characters_or_options_is_only_a_name(world, branch):
    commit = world.commit(PIPELINE, branch=branch)
    check(world, commit, f"refs/heads/{branch}")
    assert not list(world.folder.rglob("x"))


def test_branches_that_cannot_stand_beside_each_other_as_files_do_not_clash(world):
    check(world, world.commit(PIPELINE, branch="a"), "refs/heads/a")
    world.git("push", "-q", "origin", ":a")
    check(world, world.commit({"b": "1"}, branch="a/b"), "refs/heads/a/b")


def test_a_commit_that_was_force_pushed_away_before_it_was_fetched_is_gone(world):
    old = world.commit(PIPELINE)
    new = world.rewrite()
    with pytest.raises(CommitGone, match=f"commit {old} no longer exists at .*force-pushed away"):
        world.mirrors.fetch(world.repo, old, "refs/heads/main")
    check(world, new)


def test_a_kept_commit_survives_a_force_push_and_a_merciless_clean_up(world):
    old = world.commit(PIPELINE)
    check(world, old)
    world.mirrors.keep(world.repo, old, RUN)
    world.mirrors.keep(world.repo, old, RUN)
    check(world, world.rewrite())
    world.git("gc", "-q", "--prune=now", cwd=world.mirror)
    check(world, old)
    assert read_bundle(world.mirror, old).files == PIPELINE
    # And only because it was kept.
    world.mirrors.release(world.repo, RUN)
    world.mirrors.release(world.repo, RUN)
    world.git("gc", "-q", "--prune=now", cwd=world.mirror)
    assert not world.mirrors.has(world.repo, old)


def test_what_the_mirror_does_not_hold_cannot_be_kept(world):
    check(world, world.commit(PIPELINE))
    with pytest.raises(CommitGone, match="not in the mirror"):
        world.mirrors.keep(world.repo, "a" * 40, RUN)


def test_tidying_loses_nothing(world):
    commits = [world.commit({".staunch.py": f"# {n}"}) for n in range(5)]
    for commit in commits:
        check(world, commit)
    orphan = world.commit({".staunch.py": "# orphan"})
    check(world, orphan)
    check(world, world.rewrite())
    world.mirrors.tidy(world.repo)
    for commit in [*commits, orphan]:
        assert world.read(commit)
    assert len(list((world.mirror / "objects" / "pack").glob("*.pack"))) < 5


def test_a_repository_that_is_gone_says_so(world):
    commit = world.commit(PIPELINE)
    shutil.rmtree(world.upstream)
    with pytest.raises(RepoGone, match=r"lock: there is no repository at"):
        world.mirrors.fetch(world.repo, commit)


def test_a_fetch_that_takes_too_long_is_ended_and_may_be_tried_again(world):
    commit = world.commit(PIPELINE)
    hasty = world.mirrors_with(
        Registered(paths=frozenset({world.upstream})), fetch_timeout_s=0.0
    )  # fmt: skip
    with pytest.raises(FetchFailed, match="took longer than 0 s"):
        hasty.fetch(world.repo, commit, "refs/heads/main")
    check(world, commit)


def test_many_fetches_at_once_are_made_one_after_the_other(world):
    commits = [world.commit({".staunch.py": f"# {n}"}) for n in range(4)]
    failures: list[GitError] = []

    def fetch(commit):
        try:
            # Mirrors of its own, as another process would have.
            world.mirrors_with(Registered(paths=frozenset({world.upstream}))).fetch(
                world.repo, commit, "refs/heads/main"
            )
        except GitError as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch, args=(commit,)) for commit in commits * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for commit in commits:
        assert world.mirrors.has(world.repo, commit)


def test_a_fetch_waits_for_whoever_holds_the_mirror(world):
    first, second = world.commit(PIPELINE), world.commit({"a": "1"})
    check(world, first)
    with open(world.mirror.with_suffix(".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=check, args=(world, second))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert not world.mirrors.has(world.repo, second)
    thread.join()
    assert world.mirrors.has(world.repo, second)


def test_a_sha256_repository_is_mirrored_as_one(world):
    shutil.rmtree(world.upstream)
    shutil.rmtree(world.work)
    for bare, path in (("--bare", world.upstream), ("--quiet", world.work)):
        world.git("init", "-q", bare, "--object-format=sha256", str(path), cwd=world.folder)
    world.git("remote", "add", "origin", str(world.upstream))
    commit = world.commit(PIPELINE)
    assert len(commit) == 64
    assert world.read(commit) == PIPELINE


@pytest.mark.parametrize("commit", ["", "HEAD", "main", "-x", "--all", "a" * 39, "A" * 40])
def test_what_is_no_commit_id_never_reaches_git(world, commit):
    with pytest.raises(NameRefused):
        world.mirrors.fetch(world.repo, commit)


@pytest.mark.parametrize("ref", ["main", "-x", "--upload-pack=id", "refs/heads/a b", "refs/../x"])
def test_what_is_no_ref_never_reaches_git(world, ref):
    with pytest.raises(NameRefused):
        world.mirrors.fetch(world.repo, "a" * 40, ref)


@pytest.mark.parametrize("run", ["", "x", "../x", "1-a/b", "1-a\n", "-d"])
def test_what_is_no_run_id_never_becomes_a_ref(world, run):
    with pytest.raises(NameRefused):
        world.mirrors.keep(world.repo, world.commit(PIPELINE), RunId(run))


def test_a_repositorys_name_cannot_choose_where_its_mirror_lies(world):
    for name in ("../../x", "c/../../etc", "a\0b", "x" * 5_000):
        path = world.mirrors.path(type(world.repo)(**{**as_dict(world.repo), "id": name}))
        assert path.parent == world.folder / "mirrors"
        assert len(path.name) < 50


def as_dict(repo):
    return {field: getattr(repo, field) for field in repo.__struct_fields__}


def test_the_source_port_reads_keeps_and_says_what_went_wrong_in_its_own_words(world):
    source = GitSource(world.mirrors)
    commit = world.commit(PIPELINE)
    assert source.bundle(world.repo, commit, "refs/heads/main").files == PIPELINE
    assert source.keep(world.repo, commit, RUN) == str(world.mirror)
    assert world.git("rev-parse", f"refs/staunch/runs/{RUN}", cwd=world.mirror) == commit
    with pytest.raises(SourceRefused, match="no longer exists"):
        source.bundle(world.repo, "a" * 40, "refs/heads/main")
    (world.work / ".staunch" / "pipeline.py").unlink()
    with pytest.raises(NoPipelineHere):
        source.bundle(world.repo, world.commit(), "refs/heads/main")


def test_each_error_is_the_ports_and_knows_whose_fault_it_is():
    assert issubclass(FetchFailed, Unavailable) and FetchFailed.kind is FailureKind.TRANSIENT
    assert issubclass(CommitGone, Missing) and CommitGone.kind is FailureKind.REFUSED
    assert issubclass(RepoGone, Missing)


def test_the_head_is_where_the_default_branch_is_now(world):
    assert world.mirrors.head(world.repo) is None
    world.commit({"a": "1"}, "other")
    assert world.mirrors.head(world.repo) is None
    commit = world.commit({"a": "2"})
    assert world.mirrors.head(world.repo) == ("refs/heads/main", commit)
    world.git("symbolic-ref", "HEAD", "refs/heads/other", cwd=world.upstream)
    ref, _ = world.mirrors.head(world.repo)
    assert ref == "refs/heads/other"


def test_the_head_of_a_repository_that_is_gone_is_refused(world):
    world.upstream.rename(world.folder / "elsewhere")
    with pytest.raises(RepoGone):
        world.mirrors.head(world.repo)


def test_what_is_not_shown_is_asked_for_once_more_if_what_it_was_asked_with_was_old(world):
    commit, away = world.commit(PIPELINE), world.upstream.with_suffix(".away")
    asked = []

    def renew(repo):
        asked.append(repo)
        if away.exists():
            away.rename(world.upstream)
            return True
        return False

    source = GitSource(world.mirrors, renew=renew)
    world.upstream.rename(away)
    assert source.head(world.repo).commit == commit
    world.upstream.rename(away)
    assert source.bundle(world.repo, commit, "").files == PIPELINE
    # Only where it is not shown; and who has nothing newer is told what it is.
    assert asked == [world.repo] * 2
    shutil.rmtree(world.upstream)
    with pytest.raises(SourceRefused, match="there is no repository"):
        source.head(world.repo)
    assert len(asked) == 3
