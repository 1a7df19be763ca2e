"""Artifacts: files that a job leaves under a name, and that another job begins with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

ARTIFACTS_MAX = 50
PATTERNS_MAX = 50
PATTERN_CHARS_MAX = 1_000
FILES_MAX = 50

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files that were kept: `size` bytes in `files` of them. `digest` is theirs alone."""

    name: str
    digest: str
    size: int
    files: int
    folder: str = "."

    def into(self, folder: str) -> "Artifact":
        """The same for another folder of the workspace. Raises TypeError or ValueError."""
        if not isinstance(folder, str):
            raise TypeError(f"the folder must be a text, not {folder!r}")
        if folder.startswith("/") or ".." in folder.split("/") or "\0" in folder or not folder:
            raise ValueError(f"{folder!r} is no folder below the workspace; write it like 'lib/a'")
        return replace(self, folder=folder)


Patterns = str | Sequence[str]


def kept(wishes: Mapping[str, Patterns] | None) -> dict[str, list[str]]:
    """`artifacts=` in its one form. Raises TypeError or ValueError saying what it may be."""
    if wishes is None:
        return {}
    if not isinstance(wishes, Mapping):
        raise TypeError(f'artifacts must be like {{"dist": "dist/*.whl"}}, not {wishes!r}')
    if len(wishes) > ARTIFACTS_MAX:
        raise ValueError(f"a job may keep {ARTIFACTS_MAX} artifacts, not {len(wishes)}")
    return {_name(name): patterns(f"artifact {name!r}", listed) for name, listed in wishes.items()}


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"an artifact's name has 1 to 64 letters, digits, dots, _ and -, not {name!r}"
        )
    return name


def patterns(what: str, given: Patterns) -> list[str]:
    """Patterns of files in their one form. Raises TypeError or ValueError."""
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise TypeError(f"{what} needs a pattern or a list of them, not {given!r}")
    if not 1 <= len(listed) <= PATTERNS_MAX:
        raise ValueError(f"{what} has {len(listed)} patterns; 1 to {PATTERNS_MAX} go")
    for one in listed:
        if not one.strip("!/. ") or len(one) > PATTERN_CHARS_MAX:
            raise ValueError(
                f"{what}: {one[:80]!r} is no pattern of files in the workspace; the whole of it"
                " is '*'"
            )
    return list(listed)


def placed(files: Sequence[Artifact]) -> list[dict[str, Any]]:
    """`files=` in its wire form. Raises TypeError or ValueError."""
    if isinstance(files, str | Artifact) or not isinstance(files, Sequence):
        raise TypeError("files must be a list of artifacts: files=[built.artifacts['dist']]")
    if len(files) > FILES_MAX:
        raise ValueError(f"a job may begin with the files of {FILES_MAX} artifacts")
    for one in files:
        if not isinstance(one, Artifact):
            raise TypeError(
                f"files has {one!r}, which is no artifact; take one of a job's result:"
                " built.artifacts['dist']"
            )
    return [{"digest": one.digest, "name": one.name, "into": one.folder} for one in files]


def found(told: Sequence[Mapping[str, Any]]) -> dict[str, Artifact]:
    """Those of a report, by name."""
    return {
        one["name"]: Artifact(one["name"], one["digest"], one["size"], one["files"]) for one in told
    }


def recorded(artifacts: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """The inverse of `found`."""
    return [
        {"name": one.name, "digest": one.digest, "size": one.size, "files": one.files}
        for one in artifacts.values()
    ]
