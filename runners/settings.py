"""The runner's settings: from STAUNCH_RUNNER_* in the environment, then from the command line.

Here: names, types, limits and defaults. Not here: what is made of them (`bootstrap`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import msgspec
from msgspec import Meta

from pipelines.job import LEASE_S
from runners import registries, targets
from runners.allowance import DISK_GB_DEFAULT

PREFIX = "STAUNCH_RUNNER_"


class WrongSetting(Exception):
    """Says which, and what it may be."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One runner. Each field is `STAUNCH_RUNNER_<NAME>`; mappings and lists are JSON there."""

    nats: str = "nats://127.0.0.1:4222"
    join: str = ""
    data: str = "/var/lib/staunch/runner"
    pool: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+\Z")] = "default"
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


def settings_of(given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """What is given goes before the environment. Raises WrongSetting."""
    found = dict(given)
    for field in msgspec.structs.fields(Settings):
        text = environment.get(f"{PREFIX}{field.name.upper()}")
        if text is not None and field.name not in given:
            found[field.name] = _read(field.name, text, get_origin(field.type))
    try:
        settings = msgspec.convert(found, Settings, strict=False)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$.")
        name = place.rstrip("`") or "settings"
        raise WrongSetting(f"{name}: {said}, and not {found.get(name)!r}") from error
    _check(settings)
    return settings


def _read(name: str, text: str, origin: type | None) -> object:
    if origin not in (list, dict):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise WrongSetting(f"{PREFIX}{name.upper()} is no JSON: {error}") from error


def _check(settings: Settings) -> None:
    """What takes more than a look at the value. Raises WrongSetting."""
    _try("egress", lambda: targets.parse_all(settings.egress))
    _try("egress_private", lambda: [*map(targets.parse_exact, settings.egress_private)])
    _try("registries", lambda: [*map(registries.parse, settings.registries)])
    if settings.images is not None and not Path(settings.images).is_dir():
        raise WrongSetting(f"images: there is no directory {settings.images}")
    if settings.registry_auth is not None and not Path(settings.registry_auth).is_file():
        raise WrongSetting(f"registry_auth: there is no file {settings.registry_auth}")


def _try(name: str, parse: Callable[[], object]) -> None:
    try:
        parse()
    except ValueError as error:
        raise WrongSetting(f"{name}: {error}") from error
