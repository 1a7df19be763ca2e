"""The Source port on mirrors: fetch if need be, keep for the Run, read the pipeline files."""

from ci_host.adapters.git.bundle import read_bundle
from ci_host.adapters.git.mirror import Mirrors
from pipelines.bundle import Bundle
from pipelines.ids import RunId
from pipelines.repo import Repo


class MirrorSource:
    """See Source. Every method blocks."""

    def __init__(self, mirrors: Mirrors) -> None:
        self._mirrors = mirrors

    def bundle(self, repo: Repo, commit: str, ref: str, keep_for: RunId | None = None) -> Bundle:
        """See Source. Raises GitError."""
        self._mirrors.fetch(repo, commit, ref)
        if keep_for is not None:
            self._mirrors.keep(repo, commit, keep_for)
        return read_bundle(self._mirrors.path(repo), commit)

    def mirror(self, repo: Repo) -> str:
        """See Source."""
        return str(self._mirrors.path(repo))
