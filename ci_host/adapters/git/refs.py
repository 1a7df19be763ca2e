"""Refs: where the branches and tags of a repository lead now, by `git ls-remote`. RefSource.

By git's protocol version 2 a server is asked for these two folders only: what it hides, or keeps
for pull requests, is not sent.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from ci_host import ports
from ci_host.adapters.git import errors
from ci_host.adapters.git.command import run_git
from ci_host.adapters.git.mirror import unreadable
from ci_host.adapters.git.origin import Registered, Resolve, origin_of, resolve_host
from ci_host.ref_ports import SeenRef
from pipelines.refs import is_commit, is_ref
from pipelines.repo import Repo

REFS_MAX = 20_000
# What fits into one message of the bus, whatever the names are.
REFS_BYTES_MAX = 3_000_000
LOOK_TIMEOUT_S = 20.0
PEELED = "^{}"
FOLDERS = ("refs/heads/", "refs/tags/")


class GitRefs:
    """See RefSource."""

    def __init__(
        self,
        root: Path,
        registered: Callable[[Repo], Registered],
        *,
        renew: Callable[[Repo], bool] = lambda _: False,
        timeout_s: float = LOOK_TIMEOUT_S,
        resolve: Resolve = resolve_host,
    ) -> None:
        """`root`: of the mirrors; nothing is read or written there. `registered`: as for Mirrors,
        but of this Repo alone: all of thousands would cost more than the look. `renew`: as for
        GitSource.
        """
        self._root = root
        self._registered = registered
        self._renew = renew
        self._timeout_s = timeout_s
        self._resolve = resolve

    def refs(self, repo: Repo) -> dict[str, SeenRef]:
        """See RefSource."""
        try:
            return _read(repo, self._shown(repo))
        except errors.FetchFailed as error:
            raise ports.SourceUnavailable(str(error)) from error
        except errors.GitError as error:
            raise ports.SourceRefused(str(error)) from error

    def _shown(self, repo: Repo) -> bytes:
        try:
            return self._listed(repo)
        except errors.RepoGone:
            if not self._renew(repo):
                raise
            return self._listed(repo)

    def _listed(self, repo: Repo) -> bytes:
        origin = origin_of(repo, self._registered(repo), self._resolve)
        asked = run_git(
            self._root,
            "ls-remote",
            "--heads",
            "--tags",
            "--quiet",
            "--end-of-options",
            origin.url,
            protocol=origin.protocol,
            config=origin.config,
            timeout_s=self._timeout_s,
        )
        if asked.status != 0:
            raise unreadable(repo, origin, asked, self._root, self._timeout_s)
        return asked.out


def _read(repo: Repo, listed: bytes) -> dict[str, SeenRef]:
    if len(listed) > REFS_BYTES_MAX:
        raise ports.SourceRefused(
            f"the branches and tags of {repo.name} are more than {REFS_BYTES_MAX:,} bytes of names;"
            " its refs are not compared. Delete those that nobody needs; its webhooks work as ever."
        )
    found: dict[str, SeenRef] = {}
    for oid, name in _lines(listed):
        ref = name.removesuffix(PEELED)
        if not (is_commit(oid) and is_ref(ref) and ref.startswith(FOLDERS)):
            continue
        # The line with the peeled commit follows that of its tag.
        tag = found[ref].object if name != ref and ref in found else oid
        found[ref] = SeenRef(commit=oid, object=tag)
    if len(found) > REFS_MAX:
        raise ports.SourceRefused(
            f"{repo.name} has {len(found):,} branches and tags; those of a repository with more"
            f" than {REFS_MAX:,} are not compared. Delete those that nobody needs; its webhooks"
            " work as ever."
        )
    return found


def _lines(listed: bytes) -> Iterator[tuple[str, str]]:
    for line in listed.split(b"\n"):
        oid, tab, name = line.partition(b"\t")
        try:
            if tab:
                yield oid.decode("ascii"), name.decode()
        except UnicodeDecodeError:
            # No webhook could name it either.
            continue
