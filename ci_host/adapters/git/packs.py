"""Packs: a commit out of a mirror, for a Runner of another machine. See Packs of `desk_ports`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ci_host.adapters.git.command import converse, run_git
from ci_host.adapters.git.errors import NameRefused
from ci_host.ports import Missing
from pipelines.job import Source
from pipelines.refs import is_commit, is_ref

PACK_S = 900.0
_PACK = ("pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "--quiet")


class MirrorPacks:
    """Of the mirrors of this machine."""

    def pack(self, source: Source, haves: Sequence[str], piece_bytes: int) -> Iterator[bytes]:
        """As the port says. The pack is thin: what it builds on is in the commits of `haves`."""
        mirror = Path(source.mirror)
        if not is_commit(source.commit):
            raise NameRefused(f"{source.commit[:80]!r} is no full commit id")
        if not _has(mirror, source.commit):
            raise Missing(f"commit {source.commit} is not in the host's mirror (any more)")
        there = [one for one in haves if is_commit(one) and _has(mirror, one)]
        wish = "".join(f"{line}\n" for line in (source.commit, *(f"^{one}" for one in there)))
        with converse(mirror, *_PACK, timeout_s=PACK_S) as (asked, told):
            asked.write(wish.encode())
            asked.close()
            while piece := told.read(piece_bytes):
                yield piece

    def default_ref(self, source: Source) -> str:
        """As the port says."""
        said = run_git(Path(source.mirror), "symbolic-ref", "--quiet", "HEAD")
        ref = said.out.decode("utf-8", "replace").strip()
        return ref if said.status == 0 and is_ref(ref) else ""


def _has(mirror: Path, commit: str) -> bool:
    return run_git(mirror, "cat-file", "-e", f"{commit}^{{commit}}").status == 0
