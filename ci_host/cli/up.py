"""`staunch up`, `doctor`, `rebuild`: what is done on the host's own machine."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import structlog
import typer

from ci_host.adapters.nats.server import ServerError, find_binary
from ci_host.cli.building import build_image
from ci_host.cli.client import ClientError, default_data
from ci_host.cli.options import (
    CacheOption,
    DataOption,
    EgressOption,
    HibernateOption,
    JsonOption,
    SlotsOption,
    VolumeOption,
    default_cache,
    egress_of,
    volumes_of,
)
from ci_host.cli.paper import paper
from ci_host.cli.wire import unusable_proxies
from ci_host.log_lines import line_logger
from ci_host.ports import Unavailable
from ci_host.running import RunningState, read_state
from ci_host.settings import HTTP_PORT_DEFAULT, RECONCILE_S_DEFAULT, Hibernate, Settings
from ci_host.supervisor import Supervisor
from pipelines.ids import SHARDS_DEFAULT

PortOption = Annotated[int, typer.Option(envvar="STAUNCH_PORT")]
HostOption = Annotated[str, typer.Option(envvar="STAUNCH_HOST", help="Address to listen on.")]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(envvar="STAUNCH_BASE_URL", help="What browsers and forges use to reach it."),
]
NatsUrlOption = Annotated[
    str | None,
    typer.Option(envvar="STAUNCH_NATS_URL", help="Use this server, not an embedded one."),
]
NatsReplicasOption = Annotated[
    int,
    typer.Option(
        envvar="STAUNCH_NATS_REPLICAS", min=1, max=5, help="Servers that keep each message."
    ),
]
NatsPortOption = Annotated[int, typer.Option(envvar="STAUNCH_NATS_PORT", help="0: any.")]
NatsServerOption = Annotated[
    Path | None, typer.Option(envvar="STAUNCH_NATS_SERVER", help="The binary to run.")
]
EnginesOption = Annotated[
    int | None,
    typer.Option(
        envvar="STAUNCH_ENGINES", min=1, help="Engine processes. Default: one for each processor."
    ),
]
BlobsOption = Annotated[
    str,
    typer.Option(
        envvar="STAUNCH_BLOBS",
        help="Where artifacts and caches are kept: file:///folder, s3://bucket/prefix, gs://, az://.",
        show_default="a folder of --data",
    ),
]
ArtifactsDaysOption = Annotated[
    float,
    typer.Option(
        envvar="STAUNCH_ARTIFACTS_DAYS", min=1, help="For how long artifacts are kept, in days."
    ),
]
LogsDaysOption = Annotated[
    float, typer.Option(envvar="STAUNCH_LOGS_DAYS", min=1, help="For how long logs are kept.")
]
CacheGbOption = Annotated[
    float,
    typer.Option(
        envvar="STAUNCH_CACHE_GB", min=0, help="How much is kept of a repository's caches, in GB."
    ),
]
DoctorPart = Annotated[
    Literal["runner"] | None, typer.Argument(help="runner: only what running jobs needs.")
]
RunnersListenOption = Annotated[
    str,
    typer.Option(
        envvar="STAUNCH_RUNNERS_LISTEN",
        help="HOST:PORT for runners of other machines, e.g. 0.0.0.0:4222.",
    ),
]
RunnersAddressOption = Annotated[
    str,
    typer.Option(
        envvar="STAUNCH_RUNNERS_ADDRESS", help="HOST:PORT that they are told, if it is another."
    ),
]
ReconcileOption = Annotated[
    float,
    typer.Option(
        envvar="STAUNCH_RECONCILE_S",
        min=0,
        help="How often each repository is looked at for pushes that no webhook told of; 0: never.",
    ),
]
NoCommentsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--no-comments",
        envvar="STAUNCH_NO_COMMENTS",
        help="Where nothing is written under pull requests: all, or a connection, or owner/name.",
    ),
]
AnyEventOption = Annotated[
    bool,
    typer.Option(
        "--any-event",
        help="Starts by hand may be told as any event: only for an installation of one person.",
    ),
]
GB = 1_073_741_824
RUNNER_DOCTOR = (sys.executable, "-m", "runners", "doctor")
MARKS = {
    "ok": "[green]ok[/]        ",
    "degraded": "[yellow]degraded[/]  ",
    "missing": "[red]missing[/]   ",
}

console = paper(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(image)
    app.command()(doctor)
    app.command()(rebuild)


def up(
    data: DataOption = None,
    cache: CacheOption = None,
    port: PortOption = HTTP_PORT_DEFAULT,
    host: HostOption = "127.0.0.1",
    base_url: BaseUrlOption = None,
    nats_url: NatsUrlOption = None,
    nats_replicas: NatsReplicasOption = 1,
    nats_port: NatsPortOption = 0,
    nats_server: NatsServerOption = None,
    engines: EnginesOption = None,
    hibernate: HibernateOption = Hibernate.IDLE,
    slots: SlotsOption = 2,
    volume: VolumeOption = None,
    egress: EgressOption = None,
    blobs: BlobsOption = "",
    artifacts_days: ArtifactsDaysOption = 90.0,
    logs_days: LogsDaysOption = 365.0,
    cache_gb: CacheGbOption = 10.0,
    runners_listen: RunnersListenOption = "",
    runners_address: RunnersAddressOption = "",
    reconcile_s: ReconcileOption = RECONCILE_S_DEFAULT,
    no_comments: NoCommentsOption = None,
    any_event: AnyEventOption = False,
) -> None:
    """Start everything on this machine, and keep it running until Ctrl-C."""
    _check_server(nats_url, nats_replicas, runners_listen, runners_address)
    settings = Settings(
        data=(data or default_data()).resolve(),
        cache=(cache or default_cache()).resolve(),
        nats_url=nats_url,
        nats_replicas=nats_replicas,
        nats_port=nats_port,
        nats_server=nats_server,
        http_host=host,
        http_port=port,
        base_url=base_url,
        engines=_engines(engines),
        hibernate=hibernate,
        slots=slots,
        volumes=volumes_of(volume or []),
        blobs=blobs,
        artifacts_days=artifacts_days,
        logs_days=logs_days,
        cache_bytes=int(cache_gb * GB),
        runners_listen=runners_listen,
        runners_address=runners_address,
        reconcile_s=reconcile_s,
    )
    more = {"egress": egress_of(egress), "no_comments": no_comments or [], "any_event": any_event}
    _supervise(msgspec.structs.replace(settings, **more))


def _engines(wanted: int | None) -> int:
    # Each serves shards of its own. Loads do not get faster by threads of one process.
    return min(wanted or len(os.sched_getaffinity(0)), SHARDS_DEFAULT)


def _supervise(settings: Settings) -> None:
    _check_proxies()
    build_image(settings.cache)
    _configure_logging()
    supervisor = Supervisor(settings, lambda state: _say_ready(settings, state))
    try:
        asyncio.run(supervisor.run())
    except (ServerError, Unavailable) as error:
        raise ClientError(str(error), 3) from error


def _configure_logging() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=line_logger,
    )


def _check_proxies() -> None:
    for name in unusable_proxies(os.environ):
        raise ClientError(
            f"{name} names a proxy of a kind that Staunch does not speak: unset it for `staunch"
            " up`, and name an http:// or https:// one if forges are reached by one",
            3,
        )


def _check_server(url: str | None, replicas: int, listen: str, address: str) -> None:
    _check_runners(listen, address, url)
    if replicas > 1 and not url:
        raise ClientError(
            "--nats-replicas needs a cluster of your own; name its servers with --nats-url", 2
        )


def _check_runners(listen: str, address: str, url: str | None) -> None:
    if listen and url:
        raise ClientError(
            "--runners-listen is for the embedded message server; one of your own (--nats-url)"
            " decides by itself who may come",
            2,
        )
    for option, text in (("--runners-listen", listen), ("--runners-address", address)):
        host, _, port = text.rpartition(":")
        if text and not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            raise ClientError(f"{option} {text!r}: write HOST:PORT, as in 0.0.0.0:4222", 2)
    if listen.startswith(("0.0.0.0:", "[::]:")) and not address:
        raise ClientError(
            f"--runners-listen {listen} says nowhere to go: name this machine for its runners, as"
            " in --runners-address ci.example.com:4222",
            2,
        )


def _say_ready(settings: Settings, state: RunningState) -> None:
    console.print(f"[bold green]Staunch is up[/] at [link]{state.url}[/]")
    console.print(f"  data   {settings.data}\n  token  {settings.data / 'token'}")
    console.print(f"  logs   {settings.data / 'logs'}\n  Ctrl-C stops it; runs go on next time.")


def image(cache: CacheOption = None) -> None:
    """Build the guest image if it is not there yet; `up` does it by itself."""
    build_image((cache or default_cache()).resolve())


def doctor(part: DoctorPart = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Look at what Staunch needs on this machine, and say what is missing and what to do.

    `runner`: only what running jobs needs, with reasons; `--data` is then the runner's own.
    """
    if part is not None:
        words = ["--json"] if as_json else []
        words += [] if data is None else ["--data", str(data)]
        raise typer.Exit(subprocess.run([*RUNNER_DOCTOR, *words], check=False).returncode)  # noqa: S603
    findings = [_nats_finding(), *_runner_findings()]
    state = read_state(data or default_data())
    if as_json:
        typer.echo(json.dumps({"findings": findings, "running": state is not None}))
    else:
        for finding in findings:
            console.print(f"{MARKS[finding['state']]}{finding['name']}: {finding['message']}")
            if finding["fix"]:
                console.print(f"          {finding['fix']}")
    if not all(finding["ok"] for finding in findings):
        raise typer.Exit(1)


def _nats_finding() -> dict[str, Any]:
    try:
        binary = find_binary(None)
    except ServerError as error:
        return _finding("nats-server", "missing", str(error), ok=False)
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    ok = said.returncode == 0
    fix = "" if ok else "reinstall Staunch, or name another binary with --nats-server"
    return _finding("nats-server", said.stdout.strip(), fix, ok=ok)


def _finding(name: str, message: str, fix: str, *, ok: bool) -> dict[str, Any]:
    state = "ok" if ok else "missing"
    return {"name": name, "state": state, "ok": ok, "message": message, "fix": fix}


def _runner_findings() -> list[dict[str, Any]]:
    said = subprocess.run([*RUNNER_DOCTOR, "--json"], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        found = json.loads(said.stdout)["findings"]
        return [{**finding, "message": finding["detail"]} for finding in found]
    except (ValueError, TypeError, KeyError):
        detail = (said.stderr.strip().splitlines() or ["no answer"])[-1]
        return [_finding("runner", detail, "reinstall Staunch", ok=False)]


def rebuild(data: DataOption = None) -> None:
    """Throw the read model away and fold it anew from the history; nothing is lost."""
    folder = data or default_data()
    if read_state(folder) is not None:
        raise ClientError(f"Staunch runs from {folder}; stop it, rebuild, and start it again", 3)
    removed = 0
    for path in folder.glob("read-model.sqlite*"):
        path.unlink()
        removed += 1
    console.print(
        "The read model is gone and will be folded anew at the next `staunch up`."
        if removed
        else "There is no read model; the next `staunch up` folds one."
    )
