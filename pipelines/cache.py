"""Cache: files of a Job's workspace that a later Job may find again, and that may be lost.

Here: what a Job asks for, where a cache is kept, and from where one may be taken. The rule: a Job
reads its own scope, the branch that it wants to go to and the default branch, and writes its own
scope only. So nothing comes from a branch that somebody else makes, and what an untrusted change
leaves is never read by a trusted one. How files are packed and kept is the runner's.
"""

import hashlib
from collections.abc import Iterable

import msgspec

from pipelines.manifest import CACHES
from pipelines.trust import Tier

WORD_CHARS = 32


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """A wish. `paths`: patterns in the workspace, as for an artifact. `on`: patterns of files of
    the commit; while these are the same, so is the cache. `version`: a text with the same meaning.
    `exact`: nothing else will do, else the newest of the same name and version is a beginning.
    """

    name: str
    paths: list[str]
    on: list[str] = []
    version: str = ""
    exact: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A cache that is kept: the SHA-256 of its Manifest, and how much it is."""

    digest: str
    size: int
    files: int
    at: float
    job: str


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose caches: of a Repo (its id), a tier, and a full ref."""

    repo: str
    tier: Tier
    ref: str

    @property
    def subject(self) -> str:
        """`cache.<tier>.<repo>.<ref>`, so that a grant can name the tier."""
        return f"cache.{self.tier}.{_word(self.repo)}.{_word(self.ref)}"

    @property
    def shelf(self) -> str:
        """Where its Manifests lie in a blob store: no other scope's digest is found there."""
        return f"{CACHES}/{self.tier}/{_word(self.repo)}/{_word(self.ref)}"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache is of. `name` and `version` are `first`, the files that it depends on `rest`."""

    first: str
    rest: str

    def subject(self, scope: Scope) -> str:
        """Of this very one."""
        return f"{scope.subject}.{self.first}.{self.rest}"

    def subject_of_any(self, scope: Scope) -> str:
        """Of all with the same name and version."""
        return f"{scope.subject}.{self.first}.*"


def key_of(cache: Cache, files: Iterable[tuple[str, str]]) -> Key:
    """`files`: path and content id of each that `on` names."""
    told = [f"{path}\x00{content}" for path, content in sorted(files)]
    first = _word("\x00".join([cache.name, cache.version, *cache.paths]))
    return Key(first=first, rest=_word("\x00".join(told)))


def scope_written(repo: str, tier: Tier, ref: str) -> Scope:
    """Where a Job keeps its caches."""
    return Scope(repo=repo, tier=tier, ref=ref)


def scopes_read(repo: str, tier: Tier, ref: str, base_ref: str, default_ref: str) -> list[Scope]:
    """From where a Job may take one, the nearest first. Never from a lower tier."""
    base = f"refs/heads/{base_ref}" if base_ref else ""
    trusted = [Scope(repo=repo, tier=Tier.TRUSTED, ref=other) for other in (base, default_ref)]
    scopes = [scope_written(repo, tier, ref), *(scope for scope in trusted if scope.ref)]
    return list(dict.fromkeys(scopes))


def _word(text: str) -> str:
    """Any text as a token of a subject and a name of a folder."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:WORD_CHARS]
