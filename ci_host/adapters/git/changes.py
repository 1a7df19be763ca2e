"""What a commit says, and in what two commits differ, as a mirror has them. No network.

By git's plumbing, on full ids alone: no attribute, filter or setting of a repository has a say.
"""

from pathlib import Path

from ci_host.adapters.git.command import OUTPUT_BYTES_MAX, run_git
from pipelines.refs import is_commit


def message_of(mirror: Path, commit: str) -> str:
    """The commit's message; empty where there is no such commit."""
    assert is_commit(commit), "ids of others were refused before"
    shown = run_git(mirror, "cat-file", "commit", commit)
    _, _, message = shown.out.partition(b"\n\n")
    return message.decode("utf-8", "replace") if shown.status == 0 else ""


def is_before(mirror: Path, commit: str, tip: str) -> bool:
    """Whether `commit` is an ancestor of `tip`, or `tip` itself; False where one is not there."""
    assert is_commit(tip), "ids of others were refused before"
    if not is_commit(commit):
        return False
    return run_git(mirror, "merge-base", "--is-ancestor", commit, tip).status == 0


def merge_base(mirror: Path, one: str, other: str) -> str | None:
    """The newest commit that both have come from; None: they have none in common."""
    assert is_commit(one) and is_commit(other), "ids of others were refused before"
    found = run_git(mirror, "merge-base", one, other)
    text = found.out.decode("ascii", "replace").strip()
    return text if found.status == 0 and is_commit(text) else None


def changed_paths(mirror: Path, old: str, new: str) -> list[str] | None:
    """All paths that are not the same in both; of a file that was moved, both names.

    None: more than can be listed, or git could not tell.
    """
    assert is_commit(old) and is_commit(new), "ids of others were refused before"
    told = run_git(mirror, "diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)
    if told.status != 0 or len(told.out) >= OUTPUT_BYTES_MAX:
        return None
    return [path.decode("utf-8", "surrogateescape") for path in told.out.split(b"\0") if path]
