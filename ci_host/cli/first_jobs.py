"""First jobs: what a first pipeline is made of, and the files of a checkout that say so. Pure.

Which jobs fit which files is `toolchains.py`'s.
"""

import json
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

# Reads a file of the checkout by its path; empty where there is none.
Read = Callable[[str], str]
# Whatever is in these is not the repository's own, also where git would take it.
FOREIGN = frozenset(
    {
        *("node_modules", "vendor", "third_party", "site-packages"),
        *("venv", ".venv", ".tox", "__pycache__"),
    }
)


@dataclass(frozen=True, slots=True)
class Files:
    """A checkout as a commit would have it: the paths of its files, and what they hold.
    `programs`: those of the paths that may be executed."""

    names: Collection[str]
    read: Read
    programs: Collection[str] = ()

    def at_top(self) -> list[str]:
        """Files in no folder."""
        return sorted(name for name in self.names if "/" not in name)

    def folders(self) -> list[str]:
        """Folders in no other."""
        return sorted({name.partition("/")[0] for name in self.names if "/" in name})

    def there(self, *wanted: str) -> list[str]:
        """Those of these that are there."""
        return [name for name in wanted if name in self.names]

    def own(self) -> list[str]:
        """All but what others wrote."""
        return sorted(name for name in self.names if not FOREIGN & {*name.split("/")[:-1]})


@dataclass(frozen=True, slots=True)
class FirstJob:
    """A job of the pipeline. `group`: those of one number are done side by side."""

    name: str
    run: str
    group: int = 0
    reports: str = ""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What is common to the jobs. `setup`: commands before each. `hosts`: what these fetch from;
    none: nothing is fetched. `cache`: name, folder, and the files that it belongs to."""

    language: str
    because: str
    jobs: list[FirstJob]
    setup: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    cache: tuple[str, str, list[str]] | None = None


def toml_of(text: str) -> Mapping[str, Any]:
    """What a TOML file says; nothing where it is none."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def json_of(text: str) -> Mapping[str, Any]:
    """What a JSON file says; nothing where it is no object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def table(told: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """A table in a table; empty where there is none."""
    found: object = told
    for name in names:
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def texts(value: object) -> list[str]:
    """The texts of a list; empty where it is none."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
