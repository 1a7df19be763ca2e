"""Paths: whether a trigger that names files wants a change, by the paths that it touches. Pure."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

# Globs times paths that are compared; a change with more runs everything.
COMPARED_MAX = 1_000_000


def has_paths(triggers: Sequence[dict[str, Any]]) -> bool:
    """Whether it depends on the changed paths: there are such triggers, and all of them do."""
    named = [_globs(one, "paths") + _globs(one, "paths_ignore") for one in triggers]
    return bool(named) and all(named)


def is_touched(triggers: Iterable[dict[str, Any]], changed: Sequence[str]) -> bool:
    """Whether one of the triggers wants a change of these paths.

    It does if there is a path that one of its `paths` matches (none: any), and none of its
    `paths_ignore`. A `*` also matches a slash.
    """
    return any(_wants(trigger, changed) for trigger in triggers)


def _wants(trigger: dict[str, Any], changed: Sequence[str]) -> bool:
    paths = _globs(trigger, "paths") or ["*"]
    ignored = _globs(trigger, "paths_ignore")
    if (len(paths) + len(ignored)) * len(changed) > COMPARED_MAX:
        return True
    return any(_matches(path, paths) and not _matches(path, ignored) for path in changed)


def _matches(path: str, globs: list[str]) -> bool:
    return any(fnmatchcase(path, glob) for glob in globs)


def _globs(trigger: dict[str, Any], name: str) -> list[str]:
    """What a pipeline declared; it may have declared anything."""
    globs = trigger.get(name)
    return [one for one in globs if isinstance(one, str)] if isinstance(globs, list) else []
