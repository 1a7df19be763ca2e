"""GitSource: repositories' content at commits, over mirrors. Implements Source."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from ci_host import ports
from ci_host.adapters.git import changes, errors
from ci_host.adapters.git.bundle import read_bundle
from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Place, Registered, TokenOf, own_token
from pipelines.bundle import Bundle
from pipelines.ids import RunId
from pipelines.repo import Connection, Repo

T = TypeVar("T")
# Where a ref of a Repo is instead, after the forge was asked for it; None: where it is said to be.
# Raises FetchFailed and OriginRefused.
FindPlace = Callable[[Repo, str], Place | None]


def never(_repo: Repo) -> bool:
    """Where nothing that a repository is read with can be renewed."""
    return False


class GitSource:
    """See Source. `place_of` is asked before something is fetched that may be in another place.
    `renew` is asked where a repository is not shown to us: whether what it was read with was old,
    so that another try is with something else."""

    def __init__(
        self,
        mirrors: Mirrors,
        place_of: FindPlace = lambda repo, ref: None,
        renew: Callable[[Repo], bool] = never,
    ) -> None:
        self._mirrors = mirrors
        self._place_of = place_of
        self._renew = renew

    def bundle(self, repo: Repo, commit: str, ref: str) -> Bundle:
        with _told():
            self._fetch(repo, commit, ref)
            return read_bundle(self._mirrors.path(repo), commit)

    def fetch(self, repo: Repo, commit: str, ref: str) -> None:
        with _told():
            self._fetch(repo, commit, ref)

    def _fetch(self, repo: Repo, commit: str, ref: str) -> None:
        if self._mirrors.has(repo, commit):
            return
        place = self._place_of(repo, ref)
        self._asked(repo, lambda: self._mirrors.fetch(repo, commit, ref, place))

    def tip(self, repo: Repo, ref: str) -> str | None:
        with _told():
            return self._asked(repo, lambda: self._mirrors.tip(repo, ref))

    def is_on(self, repo: Repo, commit: str, ref: str) -> bool:
        with _told():
            tip = self._asked(repo, lambda: self._mirrors.tip(repo, ref))
            if tip is None or tip == commit:
                return tip == commit
            self._mirrors.fetch(repo, tip, ref)
            return self._mirrors.is_before(repo, commit, tip)

    def message(self, repo: Repo, commit: str) -> str:
        return changes.message_of(self._mirrors.path(repo), commit)

    def changed(
        self, repo: Repo, commit: str, ref: str, *, since: str, base: str
    ) -> list[str] | None:
        with _told():
            mirror = self._mirrors.path(repo)
            old = since if self._goes_on(repo, commit, since) else None
            if old is None and (tip := self._tip_of(repo, ref, base)):
                old = changes.merge_base(mirror, commit, tip)
            return None if old is None else changes.changed_paths(mirror, old, commit)

    def _goes_on(self, repo: Repo, commit: str, since: str) -> bool:
        """Whether the commit was made on top of that one. After a force-push it was not."""
        if not since:
            return False
        try:
            self._asked(repo, lambda: self._mirrors.fetch(repo, since))
        except errors.CommitGone:
            return False
        return self._mirrors.is_before(repo, since, commit)

    def _tip_of(self, repo: Repo, ref: str, base: str) -> str | None:
        """Where `base`, or the default branch, leads now; fetched. None: nowhere, or to `ref`."""
        if base:
            tip = self._asked(repo, lambda: self._mirrors.tip(repo, base))
        else:
            base, tip = self._asked(repo, lambda: self._mirrors.head(repo)) or ("", None)
        if tip is None or base == ref:
            return None
        self._asked(repo, lambda: self._mirrors.fetch(repo, tip, base))
        return tip

    def find(self, repo: Repo, name: str, ref: str) -> str:
        with _told():
            place = self._place_of(repo, ref)
            return self._asked(repo, lambda: self._mirrors.find(repo, name, ref, place))

    def head(self, repo: Repo) -> ports.Head | None:
        with _told():
            found = self._asked(repo, lambda: self._mirrors.head(repo))
        return None if found is None else ports.Head(*found)

    def keep(self, repo: Repo, commit: str, run: RunId) -> str:
        try:
            self._mirrors.keep(repo, commit, run)
        except errors.GitError as error:
            # It was there a moment ago, so the next try fetches it again.
            raise ports.SourceUnavailable(str(error)) from error
        return str(self._mirrors.path(repo))

    def _asked(self, repo: Repo, act: Callable[[], T]) -> T:
        try:
            return act()
        except errors.RepoGone:
            if not self._renew(repo):
                raise
            return act()


@contextmanager
def _told() -> Iterator[None]:
    """Git's errors as the port's."""
    try:
        yield
    except errors.NoPipeline as error:
        raise ports.NoPipeline(str(error)) from error
    except errors.FetchFailed as error:
        raise ports.SourceUnavailable(str(error)) from error
    except (errors.RepoMoved, errors.RepoGone, errors.CommitGone) as error:
        raise ports.SourceElsewhere(str(error)) from error
    except errors.GitError as error:
        raise ports.SourceRefused(str(error)) from error


def registered(
    connections: dict[str, Connection], repos: dict[str, Repo], token_of: TokenOf = own_token
) -> Registered:
    """What the operator has registered, from the host's settings.

    A Connection's own host may have a private address: naming it was the operator's decision.
    """
    hosts = {urlsplit(c.api_url).hostname or "" for c in connections.values()}
    paths = {Path(r.clone_url) for r in repos.values() if r.clone_url.startswith("/")}
    return Registered(
        connections=dict(connections),
        paths=frozenset(paths),
        private_hosts=frozenset(hosts - {""}),
        token_of=token_of,
    )
