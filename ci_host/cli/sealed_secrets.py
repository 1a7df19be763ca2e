"""`staunch secret encrypt`, and the public keys that it encrypts for: secrets in a repository."""

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ci_host.cli.client import ClientError, find
from ci_host.cli.entering import value_given
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.sealed_file import PATH, SealedFileRefused, sealed_value, written

RepoOption = Annotated[str, typer.Option("--repo", help="Of this repository.")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("public-key")(public_key)
    group.command("encrypt")(encrypt)
    group.command("rotate-public-key")(rotate_public_key)
    group.command("drop-public-keys")(drop_public_keys)


def public_key(
    repo: RepoOption,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the key to encrypt a repository's own secrets for."""
    found = find(server, token, data).put("/secrets/public-key", {"repo": repo})
    typer.echo(json.dumps(found) if as_json else found["recipient"])


def encrypt(
    name: str,
    recipient: Annotated[
        list[str], typer.Option("--recipient", "-r", help="The repository's public key: age1….")
    ],
    file: Annotated[Path, typer.Option("--file", help="Where it is written.")] = Path(PATH),
) -> None:
    """Write a value, encrypted, into the repository's file of secrets; no host is asked."""
    try:
        before = file.read_bytes() if file.exists() else b""
        # Before the value: nobody should type one for a file that cannot be written.
        written(before, name, "")
        _replace(file, written(before, name, sealed_value(name, value_given(name), recipient)))
    except (SealedFileRefused, OSError) as error:
        raise ClientError(f"{name} is not encrypted: {error}", 2) from error
    typer.echo(f"{name} is encrypted in {file}; commit it")


def rotate_public_key(
    repo: RepoOption,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Make another public key for a repository; what the older ones encrypted opens still."""
    made = find(server, token, data).post("/secrets/public-key/rotate", {"repo": repo})
    typer.echo(made["recipient"])


def drop_public_keys(
    repo: RepoOption,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Drop a repository's public keys but the newest; what they encrypted opens no more."""
    gone = find(server, token, data).post("/secrets/public-key/drop-older", {"repo": repo})
    typer.echo(f"{gone['dropped']} older public keys are dropped")


def _replace(file: Path, content: bytes) -> None:
    """In one piece: a command that is ended leaves the file as it was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.write(content)
            os.fchmod(new.fileno(), 0o644)
            new.flush()
            os.fsync(new.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
