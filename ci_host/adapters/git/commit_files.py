"""Single files of commits, out of a Run's mirror. See CommitFiles of `secret_ports`.

From git's object database alone, never by a checkout; its size is known before it is read.
"""

from pathlib import Path

from ci_host.adapters.git.command import run_git
from ci_host.adapters.git.errors import CommitGone, FetchFailed
from ci_host.secret_ports import FileRefused
from pipelines.job import Source
from pipelines.refs import is_commit

_FILES = frozenset({"100644", "100755"})


class MirrorFiles:
    """Of the mirrors of this machine."""

    def read(self, source: Source, path: str, bytes_max: int) -> bytes | None:
        """As the port says."""
        mirror, commit = Path(source.mirror), source.commit
        if not is_commit(commit):
            raise CommitGone(f"{commit[:80]!r} is no full commit id")
        if run_git(mirror, "cat-file", "-e", f"{commit}^{{commit}}").status:
            raise CommitGone(f"commit {commit} is not in the host's mirror (any more)")
        listed = run_git(mirror, "ls-tree", "-z", "--long", commit, "--", path)
        if listed.status:
            raise FetchFailed(f"commit {commit} could not be read from the host's mirror")
        if not listed.out:
            return None
        mode, _, oid, size = listed.out.partition(b"\t")[0].decode("ascii").split()
        if mode not in _FILES or not size.isdigit():
            raise FileRefused(f"{path} must be a file: no link, no folder and no submodule")
        if int(size) > bytes_max:
            raise FileRefused(f"{path} has {int(size):,} bytes; {bytes_max:,} are allowed")
        found = run_git(mirror, "cat-file", "blob", oid)
        if found.status or len(found.out) != int(size):
            raise FetchFailed(f"{path} of commit {commit} could not be read from the host's mirror")
        return found.out
