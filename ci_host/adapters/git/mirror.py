"""Mirrors: a bare copy of each repository, into which commits are fetched once and then kept.

What a Run needs stays, whatever happens at the forge: `keep` holds a commit by a ref of ours.
Reading content is `bundle.py`'s. Methods block; call them in a thread.

Refs in a mirror: `refs/staunch/tips/<token of a ref>` is what was last fetched of it (that which
the next fetch of it builds on), `refs/staunch/runs/<run>` what a Run still needs.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ci_host.adapters.git.command import Answer, run_git
from ci_host.adapters.git.errors import (
    CommitGone,
    FetchFailed,
    GitError,
    NameRefused,
    RepoGone,
    RepoMoved,
)
from ci_host.adapters.git.origin import (
    Origin,
    Place,
    Registered,
    Resolve,
    origin_of,
    resolve_host,
    without_token,
)
from ci_host.adapters.git.redirects import place_after
from pipelines.ids import RunId
from pipelines.refs import is_commit, is_ref, is_short_commit
from pipelines.repo import Repo

FETCH_TIMEOUT_S = 300.0
REASON_CHARS_MAX = 300

_RUN = re.compile(r"[0-9]+-[0-9a-z]+\Z")
_FETCH = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--negotiation-tip=refs/staunch/tips/*",
    "--end-of-options",
)
_REPO_GONE = (
    "not found",
    "does not appear to be a git repository",
    "could not read Username",
    "Authentication failed",
    "dubious ownership",
    "Permission denied",
    "returned error: 401",
    "returned error: 403",
    "returned error: 404",
)
_COMMIT_GONE = ("not our ref", "unadvertised object", "couldn't find remote ref")


class Mirrors:
    """The mirrors under one folder. Many threads and processes may use the same folder."""

    def __init__(
        self,
        root: Path,
        registered: Callable[[], Registered],
        *,
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
        resolve: Resolve = resolve_host,
    ) -> None:
        """`registered` is asked before every fetch, so that a change counts at once."""
        self._root = root
        self._registered = registered
        self._fetch_timeout_s = fetch_timeout_s
        self._resolve = resolve

    def path(self, repo: Repo) -> Path:
        """Where the repository's mirror is, or will be."""
        return self._root / f"{hashlib.sha256(repo.id.encode()).hexdigest()[:32]}.git"

    def has(self, repo: Repo, commit: str) -> bool:
        """Whether the mirror holds the commit; no network."""
        _check(commit, "")
        return _has(self.path(repo), commit)

    def fetch(self, repo: Repo, commit: str, ref: str = "", place: Place | None = None) -> None:
        """See to it that the mirror holds `commit`; no network if it does already.

        It is asked for by its id; a server that gives only refs is asked for `ref`, in the hope
        that it still leads there. `place`: where it is instead. Raises CommitGone, RepoGone,
        FetchFailed or OriginRefused.
        """
        _check(commit, ref)
        mirror = self.path(repo)
        if _has(mirror, commit):
            return
        if place is not None:
            found = self.find(repo, commit, ref, place)
            assert found == commit, "a full id is found as it is"
            return
        origin = origin_of(repo, self._registered(), self._resolve)
        with self._locked(mirror) as waited:
            # Whoever held the lock may have been after the same commit.
            if waited and _has(mirror, commit):
                return
            if not (mirror / "HEAD").exists():
                _create(mirror, len(commit))
            self._fetch(repo, mirror, origin, commit, ref)

    def find(self, repo: Repo, name: str, ref: str, place: Place | None = None) -> str:
        """The full id of the commit whose id begins with `name`, or that a tag of this id leads to.

        `ref` is fetched for it, from `place` if there is one; where it is gone, what was fetched
        before must do. Raises CommitGone, RepoGone, FetchFailed, OriginRefused, NameRefused (more
        than one is meant).
        """
        if not is_short_commit(name):
            raise NameRefused(f"{name[:80]!r} is no commit id of at least 12 hex digits")
        _check_ref(ref)
        mirror, place = self.path(repo), place or Place(repo, ref)
        _check_ref(place.ref)
        origin = origin_of(place.repo, self._registered(), self._resolve)
        with self._locked(mirror):
            if not (mirror / "HEAD").exists():
                _create(mirror, len(name))
            tip = _tip_ref(ref)
            asked = self._ask(mirror, origin, f"+{place.ref}:{tip}")
            if place.repo is not repo and _says(asked, _REPO_GONE):
                # A token of one repository may not read another that all the world may.
                asked = self._ask(mirror, without_token(origin), f"+{place.ref}:{tip}")
            if asked.status == 0 and (at := _commit_at(mirror, tip)).startswith(name):
                return at
            if asked.status != 0 and not _says(asked, _COMMIT_GONE):
                raise unreadable(place.repo, origin, asked, mirror, self._fetch_timeout_s)
            return _only_commit(mirror, name, f"{place.ref} of {place.repo.name}")

    def head(self, repo: Repo) -> tuple[str, str] | None:
        """(full ref, commit) of the default branch at the origin; None: it has none.

        Raises RepoGone, FetchFailed or OriginRefused.
        """
        return _head_in(self._listed(repo, "HEAD"))

    def tip(self, repo: Repo, ref: str) -> str | None:
        """The commit that a full ref leads to at the origin; None: it has no such ref.

        Raises NameRefused, RepoGone, FetchFailed or OriginRefused.
        """
        if not is_ref(ref):
            raise NameRefused(f"{ref[:80]!r} is no ref; one looks like refs/heads/main")
        lines = [line.partition("\t") for line in self._listed(repo, ref).splitlines()]
        # Asked for a name, git also lists what ends with it.
        return next((found for found, _, name in lines if name == ref and is_commit(found)), None)

    def is_before(self, repo: Repo, commit: str, tip: str) -> bool:
        """Whether `commit` is an ancestor of `tip`, which the mirror holds; no network."""
        _check(commit, "")
        asked = run_git(self.path(repo), "merge-base", "--is-ancestor", commit, tip)
        return asked.status == 0

    def _listed(self, repo: Repo, name: str) -> str:
        origin = origin_of(repo, self._registered(), self._resolve)
        self._root.mkdir(parents=True, exist_ok=True)
        asked = run_git(
            self._root,
            "ls-remote",
            "--symref",
            "--end-of-options",
            origin.url,
            name,
            protocol=origin.protocol,
            config=origin.config,
            timeout_s=self._fetch_timeout_s,
        )
        if asked.status != 0:
            raise unreadable(repo, origin, asked, self._root, self._fetch_timeout_s)
        return asked.out.decode("utf-8", "replace")

    def keep(self, repo: Repo, commit: str, run: RunId) -> None:
        """Hold the commit for a Run, against force-pushes and clean-ups. Repeating it is fine.

        Raises CommitGone where the mirror does not hold it.
        """
        _check(commit, "")
        held = run_git(self.path(repo), "update-ref", _run_ref(run), commit)
        if held.status != 0:
            raise CommitGone(f"commit {commit} of {repo.name} is not in the mirror: {_last(held)}")

    def release(self, repo: Repo, run: RunId) -> None:
        """The Run is over and forgotten: its commit may go. Repeating it is fine."""
        if self.path(repo).exists():
            run_git(self.path(repo), "update-ref", "-d", _run_ref(run))

    def tidy(self, repo: Repo) -> None:
        """Join small packs and refs into larger ones; drops nothing. For a quiet hour."""
        mirror = self.path(repo)
        with self._locked(mirror):
            for command in (
                ("pack-refs", "--all", "--prune"),
                ("repack", "-d", "-q", "--geometric=2"),
            ):
                done = run_git(mirror, *command, timeout_s=self._fetch_timeout_s)
                if done.status != 0:
                    raise FetchFailed(f"{mirror} cannot be tidied: {_last(done)}")

    def _fetch(self, repo: Repo, mirror: Path, origin: Origin, commit: str, ref: str) -> None:
        tip = _tip_ref(ref)
        asked = self._ask(mirror, origin, f"+{commit}:{tip}")
        if asked.status == 0:
            return
        if ref and _says(asked, _COMMIT_GONE):
            asked = self._ask(mirror, origin, f"+{ref}:{tip}")
            if asked.status == 0 and _has(mirror, commit):
                return
        if asked.status == 0 or _says(asked, _COMMIT_GONE):
            raise CommitGone(
                f"commit {commit} no longer exists at {origin.url}; it was force-pushed away or"
                " its branch was deleted. Push it again to build it."
            )
        raise unreadable(repo, origin, asked, mirror, self._fetch_timeout_s)

    def _ask(self, mirror: Path, origin: Origin, refspec: str) -> Answer:
        return run_git(
            mirror,
            *_FETCH,
            origin.url,
            refspec,
            protocol=origin.protocol,
            config=origin.config,
            timeout_s=self._fetch_timeout_s,
        )

    @contextmanager
    def _locked(self, mirror: Path) -> Iterator[bool]:
        """One at a time for each mirror; says whether somebody else was at it."""
        self._root.mkdir(parents=True, exist_ok=True)
        lock = os.open(mirror.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _lock(lock)
        finally:
            os.close(lock)


def unreadable(
    repo: Repo, origin: Origin, asked: Answer, folder: Path, timeout_s: float
) -> GitError:
    """What a git that could not read the origin means, with its reason. May ask once more."""
    if _says(asked, _REPO_GONE):
        return RepoGone(
            f"{repo.name} cannot be read at {origin.url}: {_last(asked)}. It was deleted or"
            " moved, or the connection's token may not read it."
        )
    place = place_after(folder, origin, asked, timeout_s)
    if place is not None:
        return RepoMoved(
            f"{repo.name} is no longer at {origin.url}: it has moved to {place or 'another place'},"
            " and redirects are not followed. If that is where it shall be built from, register"
            " it again with that clone URL: `staunch repo add`, or `staunch connect`."
        )
    return FetchFailed(f"{repo.name} could not be fetched from {origin.url}: {_last(asked)}")


def _head_in(listed: str) -> tuple[str, str] | None:
    """`ref: refs/heads/main<tab>HEAD`, then `<commit><tab>HEAD`; nothing in an empty repository."""
    told = [line.partition("\t")[0] for line in listed.splitlines() if line.endswith("\tHEAD")]
    ref = next((value[5:] for value in told if value.startswith("ref: ")), "")
    commit = next((value for value in told if is_commit(value)), "")
    return (ref, commit) if is_ref(ref) and commit else None


def _lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return True
    return False


def _has(mirror: Path, commit: str) -> bool:
    if not (mirror / "HEAD").exists():
        return False
    return run_git(mirror, "cat-file", "-e", f"{commit}^{{commit}}").status == 0


def _create(mirror: Path, commit_digits: int) -> None:
    form = "sha256" if commit_digits == 64 else "sha1"
    made = run_git(mirror, "init", "--bare", "--quiet", "--template=", f"--object-format={form}")
    if made.status != 0:
        raise FetchFailed(f"no mirror could be made at {mirror}: {_last(made)}")


def _commit_at(mirror: Path, name: str) -> str:
    """The commit that a ref leads to; empty: none."""
    found = run_git(mirror, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return found.out.decode("ascii", "replace").strip() if found.status == 0 else ""


def _only_commit(mirror: Path, name: str, where: str) -> str:
    """The one commit in the mirror whose id, or whose tag's, begins so."""
    found = run_git(mirror, "rev-parse", "--verify", f"{name}^{{commit}}")
    commit = found.out.decode("ascii", "replace").strip()
    if found.status == 0 and is_commit(commit):
        return commit
    if "ambiguous" in found.said:
        raise NameRefused(
            f"more than one commit begins with {name}; push the branch again, with a commit more"
        )
    raise CommitGone(
        f"commit {name} is not on {where}; it was force-pushed away, or deleted with its branch or"
        " tag, or is not there yet. Push it again to build it."
    )


def _tip_ref(ref: str) -> str:
    return f"refs/staunch/tips/{hashlib.sha256(ref.encode()).hexdigest()[:32]}"


def _check(commit: str, ref: str) -> None:
    if not is_commit(commit):
        raise NameRefused(f"{commit[:80]!r} is no full commit id (40 or 64 hex digits)")
    if ref:
        _check_ref(ref)


def _check_ref(ref: str) -> None:
    if not is_ref(ref):
        raise NameRefused(f"{ref[:80]!r} is no ref; one looks like refs/heads/main")


def _run_ref(run: RunId) -> str:
    if not _RUN.match(run):
        raise NameRefused(f"{run[:80]!r} is no run id; one looks like 2-0f3a9c…")
    return f"refs/staunch/runs/{run}"


def _says(answer: Answer, phrases: tuple[str, ...]) -> bool:
    return any(phrase in answer.said for phrase in phrases)


def _last(answer: Answer) -> str:
    """What git said that matters: its last error, in one printable line."""
    lines = [line for line in answer.said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    text = (errors or lines or [f"git ended with {answer.status}"])[0]
    return "".join(char if char.isprintable() else " " for char in text)[:REASON_CHARS_MAX]
