"""Lint asking: what an installation has of what a pipeline's text can only name."""

from pathlib import Path

from ci_host.cli.client import Client
from ci_host.sealed_file import PATH, SealedFileRefused, entries_of
from pipelines.lint.finding import Finding
from pipelines.lint.project import Known

# It is there without any runner's saying so.
POOL_DEFAULT = "default"


def sealed_names(top: Path) -> tuple[list[str], list[Finding]]:
    """The names in the sealed file of a repository, and what is wrong with it."""
    try:
        return list(entries_of((top / PATH).read_bytes())), []
    except FileNotFoundError:
        return [], []
    except (OSError, SealedFileRefused) as error:
        line = _line_of(str(error))
        fix = "write it with `staunch secret encrypt NAME`"
        return [], [Finding(PATH, line, 1, "wrong-secrets-file", str(error), fix, line, 1)]


def known_of(client: Client, sealed: list[str]) -> Known:
    """Names of all secrets that this token may see, those of the sealed file, and of pools that
    somebody serves or has a rule for. Raises ClientError."""
    secrets = {one["name"] for one in client.all("/secrets", "secrets")}
    pools = {one["pool"] for one in client.get("/pools")["pools"]}
    for runner in client.get("/runners")["runners"]:
        pools |= set(runner["pools"])
    return Known(client.url, frozenset(secrets | {*sealed}), frozenset(pools | {POOL_DEFAULT}))


def _line_of(said: str) -> int:
    _, _, rest = said.partition(", line ")
    number = rest.partition(":")[0]
    return int(number) if number.isdigit() else 1
