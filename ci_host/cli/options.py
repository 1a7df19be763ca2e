"""Options that many commands share, and the client that they lead to."""

import re
from pathlib import Path
from typing import Annotated

import typer

from ci_host.cli.client import ClientError
from ci_host.settings import Hibernate
from pipelines.priority import Priority

DataOption = Annotated[
    Path | None, typer.Option("--data", envvar="STAUNCH_DATA", help="Data directory.")
]
ServerOption = Annotated[
    str | None, typer.Option("--server", envvar="STAUNCH_SERVER", help="The host's URL.")
]
TokenOption = Annotated[
    str | None, typer.Option("--token", envvar="STAUNCH_TOKEN", help="Whose key to use.")
]
PriorityOption = Annotated[
    Priority | None, typer.Option("--priority", help="Which of those that wait goes first.")
]
WaitOption = Annotated[
    str,
    typer.Option(
        "--wait-on-failure", help="Jobs wait so long for `staunch shell` after a failure: 30m."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", envvar="STAUNCH_CACHE_DIR", help="Where the guest image is kept."),
]

HibernateOption = Annotated[
    Hibernate,
    typer.Option(
        envvar="STAUNCH_HIBERNATE", help="When a waiting run is let go of, to be replayed."
    ),
]
VolumeOption = Annotated[
    list[str] | None, typer.Option(help="NAME=PATH that jobs may write to, by name.")
]
EgressOption = Annotated[
    list[str] | None,
    typer.Option(help="host[:port] or *.domain that jobs with a network reach; repeatable."),
]
SlotsOption = Annotated[int, typer.Option(envvar="STAUNCH_SLOTS", help="Jobs at once.")]
SupposeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--suppose", help="STEP.NAME=VALUE: an output, an input of a gate, a signal's word."
    ),
]

OAuthIdOption = Annotated[
    str,
    typer.Option(
        "--oauth-client-id", help="The id of an application there: people log in here with it."
    ),
]
OAuthSecretOption = Annotated[
    str,
    typer.Option(
        "--oauth-client-secret", envvar="STAUNCH_OAUTH_CLIENT_SECRET", help="And its secret."
    ),
]

VOLUME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# A host, `*.` and a domain, or `*`, then perhaps a port; or an address of the sixth version.
TARGET = re.compile(
    r"(?:(?:\*\.)?[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_][a-z0-9_-]*)*\.?|\*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?|[0-9a-f]*:[0-9a-f.]*:[0-9a-f:.]*",
    re.ASCII | re.IGNORECASE,
)
PORT_MAX = 65_535


def volumes_of(given: list[str]) -> dict[str, Path]:
    """The directories of `--volume`, by their names. Raises ClientError."""
    found = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not VOLUME.fullmatch(name) or not Path(path).is_absolute():
            said = "write NAME=/absolute/path, with letters, digits, - and _ in NAME"
            raise ClientError(f"--volume {text!r}: {said}", 2)
        found[name] = Path(path)
    return found


def egress_of(given: list[str] | None) -> list[str]:
    """The targets of `--egress`, each perhaps a list with commas between, as they were written.

    Raises ClientError: a runner that is given what is none does not begin.
    """
    for one in (one.strip() for text in given or () for one in text.split(",") if one.strip()):
        found = TARGET.fullmatch(one)
        if found is None or not 1 <= int(found["port"] or 1) <= PORT_MAX:
            raise ClientError(
                f"--egress {one!r}: write a host such as pypi.org, pypi.org:8443, *.example.org for"
                " all hosts below, or *",
                2,
            )
    return given or []


def wait_s_of(given: str) -> float:
    """The seconds of a `--wait-on-failure`; 0 where there is none. Raises ClientError."""
    # Only here: the authors' package is not needed by any other command.
    from staunch.standby import wait_of

    if not given:
        return 0.0
    try:
        return wait_of(float(given) if given.replace(".", "", 1).isdigit() else given)
    except ValueError as error:
        raise ClientError(str(error), 2) from error


def default_cache() -> Path:
    """Where the guest image is kept: it can be built again at any time."""
    return Path.home() / ".cache" / "staunch"
