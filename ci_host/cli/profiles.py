"""Profiles: the servers that somebody has logged in to, with their keys, in a file of their own."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROFILE_VARIABLE = "STAUNCH_PROFILE"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server and whose key is used there.

    `is_given`: somebody had the key before, who may use it elsewhere. `expires_at`: when the key
    ends by itself, in seconds since the epoch; 0: never, or nobody knows.
    """

    name: str
    server: str
    token: str
    is_given: bool = False
    expires_at: float = 0.0


class BadProfiles(Exception):
    """The file is not one of ours; the message names it."""


def profiles_file() -> Path:
    """Where they are kept: of this user, whatever data directory is used."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "staunch" / "profiles.json"


def read_profiles() -> tuple[str, dict[str, Profile]]:
    """The name of the current one (or empty), and all of them. Raises BadProfiles."""
    path = profiles_file()
    try:
        told: Any = json.loads(path.read_text())
        found = {
            name: Profile(
                name,
                str(one["server"]),
                str(one["token"]),
                is_given=bool(one.get("is_given")),
                expires_at=float(one.get("expires_at") or 0),
            )
            for name, one in told["profiles"].items()
        }
        return str(told.get("current", "")), found
    except FileNotFoundError:
        return "", {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{path} cannot be read ({error}); remove it, and log in again: staunch login"
        raise BadProfiles(said) from error


def write_profiles(current: str, profiles: dict[str, Profile]) -> None:
    """Replace the file, which nobody else may read, as a whole."""
    path = profiles_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = {
        "current": current,
        "profiles": {
            one.name: {name: value for name, value in asdict(one).items() if name != "name"}
            for one in profiles.values()
        },
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(told, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
