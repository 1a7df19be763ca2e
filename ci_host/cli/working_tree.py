"""Working tree: the files of a checkout as they are now, as a commit that the checkout never sees.

What git writes goes into a bare repository of ours, which borrows the checkout's objects; the index
is a copy. So the checkout's index, refs and objects stay as they are. Unlike the host's git, this
one is the user's: their ignore rules, filters and line endings decide what is in the commit.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ci_host.cli.client import ClientError
from pipelines.bundle import FOLDER, SINGLE

# What a hook of git's hands down, and what would lead to another repository than the one named.
_OF_ANOTHER_REPO = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_IMPLICIT_WORK_TREE",
)
# Each of these would write to the checkout's own git directory, run a program there, or ask.
_QUIET = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "advice.addEmbeddedRepo=false",
)
_WHO = {
    f"GIT_{role}_{what}": said
    for role in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "staunch run"), ("EMAIL", "staunch@localhost"))
}
# What the branch that changes are for is called, where nobody says it.
USUAL = ("main", "master", "trunk")
_DETACHED = "refs/heads/detached"
_MESSAGE = "The working tree, as `staunch run` found it"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit with the files of a checkout; `bare` holds it, under `ref` or a ref of ours.

    `ref` is the branch that is checked out, or empty. `changed` counts the files in which it
    differs from the newest commit; None: there is none yet. With 0 it is that commit itself, unless
    it was to be one apart. `tree` names what is in it, and nothing else.
    """

    top: Path
    bare: Path
    commit: str
    ref: str
    changed: int | None
    tree: str = ""


@dataclass(frozen=True, slots=True)
class _Checkout:
    top: Path
    objects: Path
    index: Path
    form: str
    is_shallow: bool


def top_of(path: Path) -> Path:
    """The root of the working tree that `path` is in. Raises ClientError where it is in none."""
    if not path.is_dir():
        raise ClientError(f"there is no directory {path}", 4)
    status, found, said = _git(path, "rev-parse", "--show-toplevel")
    if status != 0:
        raise ClientError(
            f"{path} is in no git working tree ({' '.join(said.split())}); name a checkout, or make"
            " one with `git init`",
            4,
        )
    return Path(found)


def default_branch(top: Path) -> str:
    """The branch that changes are for, as far as a checkout can tell.

    Only a clone is told which that is at the remote. Else it is one of the usual names, or the only
    branch that the remote has; the one that is checked out may be any.
    """
    if commit_at(top, "refs/remotes/origin/HEAD"):
        _, found, _ = _git(top, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
        if found:
            return found.removeprefix("refs/remotes/origin/")
    remote = _branches(top, "refs/remotes/origin")
    local = _branches(top, "refs/heads")
    for there in (remote, local):
        if usual := [branch for branch in USUAL if branch in there]:
            return usual[0]
    if len(remote) == 1:
        return remote[0]
    return branch_of(top) or "main"


def branch_of(top: Path) -> str:
    """The branch that is checked out; empty: none is."""
    return _git(top, "symbolic-ref", "--quiet", "HEAD")[1].removeprefix("refs/heads/")


def pushed_as(top: Path) -> list[str]:
    """The refs as which what is checked out is at a remote, as far as the checkout knows: that of
    its branch; else those of other names that it was pushed as. None: no branch is checked out.
    """
    branch = branch_of(top)
    if not branch:
        return []
    upstream = _git(top, "rev-parse", "--symbolic-full-name", "@{upstream}")[1]
    own = [branch, *([upstream.split("/", 3)[-1]] if upstream.startswith("refs/remotes/") else [])]
    here = ("--points-at=HEAD", "--format=%(refname:lstrip=3)", "refs/remotes")
    there = _git(top, "for-each-ref", *here)[1].split()
    found = [name for name in own if name in there][:1] or [n for n in there if n != "HEAD"]
    return [f"refs/heads/{name}" for name in dict.fromkeys(found or own)]


def _branches(top: Path, where: str) -> list[str]:
    depth = where.count("/") + 1
    _, found, _ = _git(top, "for-each-ref", f"--format=%(refname:lstrip={depth})", where)
    return [name for name in found.splitlines() if name != "HEAD"]


def files_of(top: Path) -> list[str]:
    """The paths of all files that a commit of everything would hold."""
    listed = _say(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [name for name in dict.fromkeys(listed.split("\0")) if name]


def commit_at(top: Path, name: str) -> str:
    """The commit that a name stands for in a checkout; empty: it has none of that name."""
    asked = ("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    status, found, _ = _git(top, *asked)
    return found if status == 0 else ""


def message_at(top: Path, name: str) -> str:
    """What was said of a commit; empty: there is none of that name."""
    return _git(top, "log", "-1", "--format=%B", "--end-of-options", name)[1]


def is_shallow(top: Path) -> bool:
    """Whether a checkout has only a part of its history."""
    return _say(top, "rev-parse", "--is-shallow-repository") == "true"


def lead(bare: Path, refs: Mapping[str, str], head: str) -> None:
    """Have the refs of a snapshot's repository lead to these commits, and its HEAD to a branch.

    Raises ClientError: git does not take one of the names.
    """
    for ref, commit in refs.items():
        _say(bare, f"--git-dir={bare}", "update-ref", ref, commit)
    _say(bare, f"--git-dir={bare}", "symbolic-ref", "HEAD", head)


def snapshot(top: Path, bare: Path, *, apart: str = "") -> Snapshot:
    """Commit what is in the working tree, ignored files aside, into `bare`, which is made.

    `apart`: a word that makes it another commit than any before, even if nothing has changed.
    Raises ClientError: git refuses, or there is no pipeline file.
    """
    here = _look(top)
    _say(top, "init", "--bare", "--quiet", "--template=", f"--object-format={here.form}", str(bare))
    (bare / "objects" / "info" / "alternates").write_text(f"{here.objects}\n")
    index = bare / "index"
    index.unlink(missing_ok=True)
    if here.index.exists():
        # With its time: by it git knows which files may have changed since without looking so.
        shutil.copy2(here.index, index)
    into = {"GIT_INDEX_FILE": str(index), "GIT_OBJECT_DIRECTORY": str(bare / "objects")}
    _say(top, "add", "--all", env=into)
    tree = _say(top, "write-tree", env=into)
    _check_pipeline(top, tree, into)
    head = _git(top, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")[1]
    changed = _changed(top, head, tree, into) if head else None
    commit = head
    # A shallow checkout cannot give its history away: there the commit has none.
    if here.is_shallow or changed != 0 or apart:
        parents = ["-p", head] if head and not here.is_shallow else []
        # What asks to be skipped still does.
        message = message_at(top, "HEAD") if changed == 0 else _MESSAGE
        who = _WHO | {"GIT_COMMITTER_NAME": f"{_WHO['GIT_COMMITTER_NAME']} {apart}".strip()}
        commit = _say(top, "commit-tree", tree, "-m", message, *parents, env=into | who)
    branch = _git(top, "symbolic-ref", "--quiet", "HEAD")[1]
    _say(top, f"--git-dir={bare}", "update-ref", branch or _DETACHED, commit)
    return Snapshot(top, bare, commit, branch, changed, tree)


def _look(top: Path) -> _Checkout:
    asked = ["--path-format=absolute", "--git-path", "objects", "--git-path", "index"]
    asked += ["--show-object-format", "--is-shallow-repository"]
    objects, index, form, is_shallow = _say(top, "rev-parse", *asked).splitlines()
    return _Checkout(top, Path(objects), Path(index), form, is_shallow == "true")


def _changed(top: Path, head: str, tree: str, into: dict[str, str]) -> int:
    differ = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", head, tree)
    return _say(top, *differ, env=into).count("\0")


def _check_pipeline(top: Path, tree: str, into: dict[str, str]) -> None:
    """Before anything is started for it."""
    if _say(top, "ls-tree", "--name-only", tree, "--", FOLDER, SINGLE, env=into):
        return
    there = [name for name in (FOLDER, SINGLE) if (top / name).exists()]
    if there:
        raise ClientError(f"git ignores {top / there[0]}, or it is empty: nothing would run", 4)
    raise ClientError(
        f"{top} has no pipeline: add {FOLDER}/pipeline.py or {SINGLE} there, with an"
        " `async def run(event, step)`",
        4,
    )


def _say(top: Path, *words: str, env: dict[str, str] | None = None) -> str:
    """What git prints. Raises ClientError with its own words."""
    status, out, said = _git(top, *words, env=env)
    if status != 0:
        command = next(word for word in words if not word.startswith("-"))
        raise ClientError(f"git {command} failed in {top}: {said.strip() or f'exit code {status}'}")
    return out


def _git(top: Path, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, output, errors; without the line's end, and in the words of no language."""
    # Else it would write the index of a submodule that it looks into.
    set_ = {"GIT_OPTIONAL_LOCKS": "0", "LANGUAGE": "C", "LC_ALL": "C", **(env or {})}
    kept = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_REPO}
    command = ["git", *(part for one in _QUIET for part in ("-c", one)), *words]
    # Not by GitPython, which takes a tenth of a second to load: people wait for this one.
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=top, env={**kept, **set_}, stdin=subprocess.DEVNULL, capture_output=True
        )
    except FileNotFoundError as error:
        raise ClientError("git is missing: install it (apt-get install git)", 3) from error
    out, said = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    return done.returncode, out.removesuffix("\n"), said.removesuffix("\n")
