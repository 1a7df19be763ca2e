"""Caches: files of a job's workspace that a later job may find again, and that may be lost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from staunch.artifacts import Patterns, patterns

CACHES_MAX = 20
VERSION_CHARS_MAX = 200

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Cache:
    """`paths` of the workspace under a name. While the files of the commit that `on` names, and
    `version`, are the same, so is the cache. `exact`: no older one will do as a beginning.
    """

    name: str
    paths: Patterns
    on: Patterns = ()
    version: str = ""
    exact: bool = False


def asked(caches: Sequence[Cache]) -> list[dict[str, Any]]:
    """`caches=` in its wire form. Raises TypeError or ValueError saying what it may be."""
    if isinstance(caches, str | Cache) or not isinstance(caches, Sequence):
        raise TypeError('caches must be a list: caches=[Cache("pip", ".pip")]')
    if len(caches) > CACHES_MAX:
        raise ValueError(f"a job may have {CACHES_MAX} caches, not {len(caches)}")
    wishes = [_asked(one) for one in caches]
    names = [wish["name"] for wish in wishes]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two caches of a job are named {twice!r}")
    return wishes


def _asked(cache: Cache) -> dict[str, Any]:
    if not isinstance(cache, Cache):
        raise TypeError(f'caches has {cache!r}, which is no Cache; write Cache("pip", ".pip")')
    if not isinstance(cache.name, str) or not _NAME.fullmatch(cache.name):
        raise ValueError(
            f"a cache's name has 1 to 64 letters, digits, dots, _ and -, not {cache.name!r}"
        )
    if not isinstance(cache.version, str) or len(cache.version) > VERSION_CHARS_MAX:
        raise ValueError(
            f"the version of cache {cache.name!r} must be a text of at most {VERSION_CHARS_MAX}"
            f" characters, not {cache.version!r:.80}"
        )
    if not isinstance(cache.exact, bool):
        raise TypeError(f"exact must be True or False, not {cache.exact!r}")
    wish: dict[str, Any] = {
        "name": cache.name,
        "paths": patterns(f"cache {cache.name!r}", cache.paths),
    }
    if cache.on:
        wish["on"] = patterns(f"on= of cache {cache.name!r}", cache.on)
    if cache.version:
        wish["version"] = cache.version
    if cache.exact:
        wish["exact"] = True
    return wish
