"""The runner's command line: `python -m runners agent` and `doctor`.

Here: reading words and environment into `settings`. The agent then replaces this process, so that
none of the libraries used here stays in its memory.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from runners.settings import PREFIX, Settings, WrongSetting, settings_of, unknown_in

app = typer.Typer(
    help="Runs the jobs of a Staunch pool on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

VolumeOption = Annotated[
    list[str] | None, typer.Option(help="name=/path: writable at /volumes/name; repeatable.")
]
EgressOption = Annotated[
    list[str] | None,
    typer.Option(help="host[:port] or *.domain that jobs with a network reach; repeatable."),
]
EgressPrivateOption = Annotated[
    list[str] | None,
    typer.Option(help="host:port that they reach though it is not on the internet."),
]
ReadOnlyOption = Annotated[
    list[Path] | None, typer.Option(help="A directory shown to every job; repeatable.")
]
UidBaseOption = Annotated[
    int | None, typer.Option(help="Jobs of slot n run as this user + n, if started by root.")
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(help="bubblewrap, podman, or process: not confined, trusted code only."),
]
DrainOption = Annotated[
    bool | None, typer.Option(help="On SIGTERM wait for running jobs; else they go on alone.")
]
JoinOption = Annotated[
    str | None,
    typer.Option(help="What `staunch runner add` answered: become that runner."),
]
BlobsOption = Annotated[
    str | None,
    typer.Option(help="Where artifacts are kept: file:///folder, s3://bucket, gs://, az://."),
]
MemoryOption = Annotated[
    float | None, typer.Option(help="GiB that a job may use. Default: three quarters of all.")
]
DiskOption = Annotated[float | None, typer.Option(help="GiB that a job may write.")]
ImagesOption = Annotated[
    Path | None, typer.Option(help="A folder of OCI layouts, or tars of them: images, by name.")
]
ImagesGbOption = Annotated[
    float | None, typer.Option(help="How much of unpacked images is kept, in GB.")
]
RegistryOption = Annotated[
    list[str] | None, typer.Option(help="A registry that images are fetched from; repeatable.")
]
RegistryAuthOption = Annotated[
    Path | None, typer.Option(help="Their credentials: a file like Docker's config.json.")
]
NatsOption = Annotated[
    str | None, typer.Option(help="The bus, e.g. nats://127.0.0.1:4222; -: standard input says it.")
]
LeaseOption = Annotated[
    float | None,
    typer.Option(help="Seconds of silence after which others give up this runner's jobs."),
]


@app.command()
def agent(
    nats: NatsOption = None,
    data: Annotated[Path | None, typer.Option(help="Where jobs live; one for each agent.")] = None,
    join: JoinOption = None,
    pool: Annotated[str | None, typer.Option(help="The pool whose jobs are taken.")] = None,
    slots: Annotated[int | None, typer.Option(help="How many jobs run at once.")] = None,
    volume: VolumeOption = None,
    read_only: ReadOnlyOption = None,
    uid_base: UidBaseOption = None,
    executor: ExecutorOption = None,
    drain: DrainOption = None,
    blobs: BlobsOption = None,
    egress: EgressOption = None,
    egress_private: EgressPrivateOption = None,
    memory_gb: MemoryOption = None,
    disk_gb: DiskOption = None,
    images: ImagesOption = None,
    images_gb: ImagesGbOption = None,
    registry: RegistryOption = None,
    registry_auth: RegistryAuthOption = None,
    lease_s: LeaseOption = None,
) -> None:
    """Take jobs and run them until SIGTERM. Each option is also STAUNCH_RUNNER_<NAME>."""
    given: dict[str, Any] = {**locals()}
    given["volumes"] = _volumes(given.pop("volume") or [])
    given["registries"] = given.pop("registry")
    settings = _settings(given)
    for said in unknown_in(os.environ):
        typer.echo(said, err=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not _is_ours(name)},
        "STAUNCH_RUNNER_OPTIONS": msgspec.json.encode(settings).decode(),
    }
    sys.stdout.flush()
    words = [sys.executable, "-m", "runners.bootstrap"]
    os.execve(sys.executable, words, environment)  # noqa: S606  this process becomes the agent


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="The agent's data directory.")] = None,
    uid_base: Annotated[int | None, typer.Option(help="As for the agent.")] = None,
    slots: Annotated[int | None, typer.Option(help="As for the agent.")] = None,
    disk_gb: Annotated[float | None, typer.Option(help="As for the agent.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say whether this machine can run jobs confined; exit code 1 where something is missing."""
    from runners import diagnosis, probe

    given = {"data": data, "uid_base": uid_base, "slots": slots, "disk_gb": disk_gb}
    settings = _settings(given)
    # The default directory is looked at, and made, only for somebody who means to use it.
    chosen = Path(settings.data) if data or "STAUNCH_RUNNER_DATA" in os.environ else None
    findings = probe.findings(
        chosen, uid_base=settings.uid_base, slots=settings.slots, disk_gb=settings.disk_gb
    )
    if as_json:
        typer.echo(json.dumps(diagnosis.as_record(findings)))
    else:
        for finding in findings:
            typer.echo(f"{finding.state:<8}  {finding.name}: {finding.detail}")
            typer.echo(f"          why:  {finding.why}")
            if finding.fix:
                typer.echo(f"          next: {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _settings(given: dict[str, Any]) -> Settings:
    """Of what was given: paths and numbers as Typer reads them."""
    plain = {
        name: msgspec.to_builtins(value, enc_hook=str)
        for name, value in given.items()
        if value not in (None, [], {})
    }
    try:
        return settings_of(plain, os.environ)
    except WrongSetting as error:
        raise typer.BadParameter(str(error)) from error


def _volumes(pairs: list[str]) -> dict[str, str]:
    volumes = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is no volume; write --volume name=/path")
        volumes[name] = path
    return volumes


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX)
