"""Errors of the git adapter. Each knows its `kind`, and which of the ports' errors it is.

GitError
├── FetchFailed      transient (Unavailable): the network, the forge, a time-out
├── CommitGone       refused (Missing): the commit is no longer there; it was force-pushed away
├── RepoGone         refused (Missing): no such repository, or its token may not read it
├── RepoMoved        refused: the repository is at another place by now, to which nobody follows
├── NoPipeline       tenant (Missing): the commit has no pipeline files
├── BundleRefused    tenant: a pipeline file is a link, too large, not text …
├── OriginRefused    refused: a URL or path that the operator has not registered
└── NameRefused      refused: a text that is no ref, commit or run id
"""

from typing import ClassVar

from ci_host.ports import Missing, Unavailable
from pipelines.failure import FailureKind


class GitError(Exception):
    """Everything that this adapter raises on purpose."""

    kind: ClassVar[FailureKind] = FailureKind.REFUSED


class FetchFailed(GitError, Unavailable):
    """It did not work now; the same call may work later."""

    kind = FailureKind.TRANSIENT


class CommitGone(GitError, Missing):
    """The commit is not in the mirror, and the repository does not give it any more."""


class RepoGone(GitError, Missing):
    """The repository does not exist, or is not shown to us."""


class RepoMoved(GitError):
    """Its address leads on to another one."""


class NoPipeline(GitError, Missing):
    """The commit holds neither a `.staunch` folder with files nor a `.staunch.py`."""

    kind = FailureKind.TENANT


class BundleRefused(GitError):
    """A pipeline file that may not be one; the message names it, and the rule."""

    kind = FailureKind.TENANT


class OriginRefused(GitError):
    """Where the repository is said to be is no place that we may fetch from."""


class NameRefused(GitError):
    """A name from outside that must not become an argument of git."""
