"""GitSource: repositories' content at commits, over mirrors. Implements Source."""

from pathlib import Path
from urllib.parse import urlsplit

from ci_host import ports
from ci_host.adapters.git import errors
from ci_host.adapters.git.bundle import read_bundle
from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Registered, TokenOf, own_token
from pipelines.bundle import Bundle
from pipelines.ids import RunId
from pipelines.repo import Connection, Repo


class GitSource:
    """See Source."""

    def __init__(self, mirrors: Mirrors) -> None:
        self._mirrors = mirrors

    def bundle(self, repo: Repo, commit: str, ref: str) -> Bundle:
        try:
            self._mirrors.fetch(repo, commit, ref)
            return read_bundle(self._mirrors.path(repo), commit)
        except errors.NoPipeline as error:
            raise ports.NoPipeline(str(error)) from error
        except errors.FetchFailed as error:
            raise ports.SourceUnavailable(str(error)) from error
        except errors.GitError as error:
            raise ports.SourceRefused(str(error)) from error

    def head(self, repo: Repo) -> ports.Head | None:
        try:
            found = self._mirrors.head(repo)
        except errors.FetchFailed as error:
            raise ports.SourceUnavailable(str(error)) from error
        except errors.GitError as error:
            raise ports.SourceRefused(str(error)) from error
        return None if found is None else ports.Head(*found)

    def keep(self, repo: Repo, commit: str, run: RunId) -> str:
        try:
            self._mirrors.keep(repo, commit, run)
        except errors.GitError as error:
            # It was there a moment ago, so the next try fetches it again.
            raise ports.SourceUnavailable(str(error)) from error
        return str(self._mirrors.path(repo))


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
