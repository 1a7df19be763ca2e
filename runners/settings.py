"""The runner's settings: from STAUNCH_RUNNER_* in the environment, and before that from whoever
begins it: the command line, or `staunch up`.

Here: names, types, limits and defaults. Not here: what is made of them (`bootstrap`).
"""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

from pipelines.job import LEASE_S
from runners import registries, targets
from runners.allowance import DISK_GB_DEFAULT

PREFIX = "STAUNCH_RUNNER_"
NAME = r"[A-Za-z0-9_-]+"
LETTERS = "letters, digits, - and _ only"
POOL = Meta(pattern=rf"^{NAME}\Z", description=LETTERS)


class WrongSetting(Exception):
    """Says which, and what it may be."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One runner. Each field is `STAUNCH_RUNNER_<NAME>`; mappings and lists are JSON there."""

    nats: str = "nats://127.0.0.1:4222"
    join: str = ""
    data: str = "/var/lib/staunch/runner"
    pool: Annotated[str, POOL] = "default"
    slots: Annotated[int, Meta(ge=1, le=256)] = 2
    volumes: dict[str, str] = {}
    read_only: list[str] = []
    uid_base: Annotated[int, Meta(ge=1_000)] = 64_000
    executor: Literal["bubblewrap", "podman", "process"] = "bubblewrap"
    blobs: str = ""
    egress: list[str] = []
    egress_private: list[str] = []
    memory_gb: Annotated[float, Meta(ge=0)] = 0.0
    disk_gb: Annotated[float, Meta(gt=0)] = DISK_GB_DEFAULT
    images: str | None = None
    images_gb: Annotated[float, Meta(gt=0)] = 20.0
    registries: list[str] = []
    registry_auth: str | None = None
    drain: bool = False
    lease_s: Annotated[float, Meta(ge=LEASE_S, le=3_600)] = LEASE_S


# A few options are named for the one thing that each of them adds.
OPTIONS = {"volumes": "--volume", "registries": "--registry"}


def settings_of(given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """What is given goes before the environment. Raises WrongSetting."""
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    for field in msgspec.structs.fields(Settings):
        name, variable = field.name, variable_of(field.name)
        places[name] = option_of(name) if name in given else variable
        if name in given:
            found[name] = _convert(given[name], field, places[name])
        elif variable in environment:
            found[name] = _read(environment[variable], field, variable)
    settings = Settings(**found)
    _check(settings, places)
    return settings


def unknown_in(environment: Mapping[str, str]) -> list[str]:
    """Of each variable that looks like a setting and is none: so, and what may have been meant."""
    known = {name.upper() for name in Settings.__struct_fields__}
    said = []
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            hint = f" (is {PREFIX}{meant[0]} meant?)" if meant else ""
            said.append(f"{variable} is no setting, and is not heeded{hint}")
    return said


def variable_of(name: str) -> str:
    """The environment's name of a setting."""
    return f"{PREFIX}{name.upper()}"


def option_of(name: str) -> str:
    """The command line's."""
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")


def _read(text: str, field: FieldInfo, place: str) -> object:
    if get_origin(field.type) not in (list, dict):
        return _convert(text, field, place)
    try:
        return msgspec.json.decode(text, type=field.type)
    except msgspec.DecodeError as error:
        raise _wrong(place, text, field) from error


def _convert(value: object, field: FieldInfo, place: str) -> object:
    try:
        return msgspec.convert(value, field.type, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(place, value, field) from error


def _wrong(place: str, value: object, field: FieldInfo) -> WrongSetting:
    """Where it was said, what was, and what may be."""
    told = "empty" if value == "" else repr(value)
    return WrongSetting(f"{place} is {told}, and must be {_what_may_be(field.type)}")


def _what_may_be(type_: Any) -> str:  # noqa: ANN401  a type's form is a type's own
    meta = next(iter(getattr(type_, "__metadata__", ())), None)
    if meta is not None and meta.description:
        return str(meta.description)
    if get_origin(type_) is Literal:
        *first, last = get_args(type_)
        return f"{', '.join(first)} or {last}"
    kind = get_args(type_)[0] if meta is not None else get_origin(type_) or type_
    if kind is UnionType:
        kind = get_args(type_)[0]
    return f"{KINDS[kind]}{_range(meta)}"


KINDS: Mapping[Any, str] = {
    bool: "true, false, 1 or 0",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: 'a JSON list of texts, such as ["one", "two"]',
    dict: 'a JSON object of texts, such as {"name": "text"}',
}


def _range(meta: Meta | None) -> str:
    if meta is None:
        return ""
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge:g} to {meta.le:g}"
    return f" of {meta.ge:g} or more" if meta.ge is not None else f" above {meta.gt:g}"


def _check(settings: Settings, places: Mapping[str, str]) -> None:
    """What takes more than a look at the value. Raises WrongSetting."""
    for name in settings.volumes:
        if not re.fullmatch(NAME, name, re.ASCII):
            raise WrongSetting(f"{places['volumes']} has {name!r}, and names are {LETTERS}")
    _try(places["egress"], lambda: targets.parse_all(settings.egress))
    private = settings.egress_private
    _try(places["egress_private"], lambda: [*map(targets.parse_exact, private)])
    _try(places["registries"], lambda: [*map(registries.parse, settings.registries)])
    folder, file = settings.images, settings.registry_auth
    if folder is not None and not Path(folder).is_dir():
        raise WrongSetting(f"{places['images']} is {folder!r}, and there is no such directory")
    if file is not None and not Path(file).is_file():
        raise WrongSetting(f"{places['registry_auth']} is {file!r}, and there is no such file")


def _try(place: str, parse: Callable[[], object]) -> None:
    try:
        parse()
    except ValueError as error:
        raise WrongSetting(f"{place}: {error}") from error
