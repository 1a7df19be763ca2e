"""The composition root of an agent's process: the only place that knows every adapter.

Here: plain calls. Run as a module with what somebody chose as JSON in the environment, because the
command line's own libraries weigh more than the agent: `cli` reads its options, and then becomes
this process; `staunch up` begins it at once.
"""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from runners import registries
from runners.agent import Agent
from runners.allowance import allowance_of
from runners.data_directory import DataDirectory, InUse
from runners.executors.bubblewrap import Bubblewrap, find_bwrap
from runners.executors.podman import Podman, find_podman
from runners.executors.process import Process
from runners.images import Images
from runners.launcher import Zygote
from runners.link.nats import NatsLink
from runners.membership import Membership, NotJoined, membership_of
from runners.ports import BlobStore, Egress, Executor, Heartbeat, SourceStore, Unavailable
from runners.probe import Unconfined, blockers, podman_problem
from runners.settings import PREFIX, Settings, WrongSetting, settings_of, unknown_in
from runners.signs_of_life import SignsOfLife

if TYPE_CHECKING:
    from runners.link.desk import DeskLink

OPTIONS = "STAUNCH_RUNNER_OPTIONS"
VERSION = "0.1.0"
ON_INPUT = "-"
CONSUMER_RETRY_S = 0.5
GB = 1_073_741_824

log = structlog.get_logger("runners")


class LineLogger(structlog.PrintLogger):
    """A line that cannot be written is lost: nobody may die of telling that the disk is full."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure_logging() -> None:
    """One line for each event, to stderr: for people on a terminal, else JSON."""
    line: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        line = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: LineLogger(sys.stderr),
    )


def executor_of(settings: Settings) -> Executor:
    """The chosen executor. One that cannot confine on this machine refuses every job, with why."""
    volumes = {name: Path(path) for name, path in settings.volumes.items()}
    allowance = allowance_of(settings.memory_gb, settings.disk_gb)
    if settings.executor == "process":
        log.warning("jobs are NOT confined", executor="process")
        return Process(uid_base=settings.uid_base, volumes=volumes, allowance=allowance)
    find = find_podman if settings.executor == "podman" else find_bwrap
    program = find()
    problems = _problems(settings, program)
    if program is None or problems:
        for problem in problems:
            log.error("jobs will be refused", cause=problem)
        return Unconfined("; ".join(problems))
    made = Podman if settings.executor == "podman" else Bubblewrap
    return made(
        program,
        uid_base=settings.uid_base,
        volumes=volumes,
        read_only=tuple(Path(path) for path in settings.read_only),
        reachable=Egress(allowed=settings.egress, private=settings.egress_private),
        allowance=allowance,
    )


def _problems(settings: Settings, program: str | None) -> list[str]:
    """Why the chosen program cannot confine jobs here; empty where it can."""
    if settings.executor != "podman":
        return blockers(program, settings.uid_base)
    if program is None:
        return ["podman was not found; install it (apt install podman crun)"]
    problem = podman_problem(program, settings.uid_base)
    problems = [f"podman cannot run a job: {problem}"] if problem else []
    return problems + [
        f"podman cannot bind {path}, since there is a colon in it; rename it, or use --executor"
        " bubblewrap"
        for path in settings.read_only
        if ":" in path
    ]


def images_of(settings: Settings, data: DataDirectory) -> Images | None:
    """The images that are offered or may be fetched; none, where there are none."""
    if not settings.images and not settings.registries:
        return None
    return Images(
        data,
        Path(settings.images) if settings.images else None,
        uid_base=settings.uid_base,
        bytes_max=int(settings.images_gb * GB),
        registries=[registries.parse(one) for one in settings.registries],
        credentials=Path(settings.registry_auth) if settings.registry_auth else None,
    )


def blobs_of(settings: Settings) -> BlobStore | None:
    """The chosen blob store, or none. Raises Unavailable for an address of no known kind."""
    if not settings.blobs:
        return None
    # Whoever keeps no artifacts does not carry the library.
    from runners.blobs import Blobs

    return Blobs(settings.blobs)


async def serve(settings: Settings) -> int:
    """Run one agent until SIGTERM or SIGINT."""
    stop, turned_away = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def turn_away() -> None:
        turned_away.set()
        stop.set()

    try:
        data = DataDirectory(settings.data)
        before = data.reported()
        member = membership_of(data, settings.join)
        runner = data.runner_id("" if member is None else member.runner)
        as_member = None if member is None else _reach_as_member(member, data, turn_away)
        reaching = asyncio.create_task(as_member or _reach(settings, runner))
        reached = await _unless_stopped(reaching, stop)
    except (InUse, Unavailable, NotJoined) as error:
        log.error("cannot start", cause=str(error))  # noqa: TRY400  a plain mistake, no fault
        return 1
    if reached is None:
        return 0
    slots = 1 if reached.is_single else settings.slots
    agent = Agent(
        data=data,
        queue=reached.link,
        sink=reached.link,
        index=reached.link,
        executor=executor_of(settings),
        heartbeat=Heartbeat(
            runner=runner, pools=[reached.pool], at=time.time(), slots=slots, version=VERSION
        ),
        signs=SignsOfLife(runner, time.monotonic),
        now=time.time,
        lease_s=settings.lease_s,
        blobs=reached.blobs,
        images=images_of(settings, data),
        secrets=reached.link.secrets_of(runner, data.root),
        sources=reached.sources,
        is_single=reached.is_single,
        shells=reached.link.shells_of(runner),
        zygote=Zygote(),
    )
    log.info("agent up", runner=runner, pool=reached.pool, slots=slots)
    await agent.run(stop, drain=settings.drain)
    await reached.link.close()
    log.info("agent down", runner=runner)
    has_served = reached.is_single and data.reported() > before
    return end_code(has_served=has_served, is_turned_away=turned_away.is_set())


def end_code(*, has_served: bool, is_turned_away: bool) -> int:
    """0: as it should be. One that was there for one job, and has reported it, is turned away when
    the host has heard so, which may be before it hears that itself."""
    return 1 if is_turned_away and not has_served else 0


@dataclass(frozen=True, slots=True)
class Reached:
    """A host: the bus, and what comes with it."""

    link: "NatsLink | DeskLink"
    pool: str
    blobs: BlobStore | None
    sources: SourceStore | None = None
    is_single: bool = False


async def _reach(settings: Settings, runner: str) -> Reached:
    """As a part of the installation, that may do on the bus what it likes."""
    blobs = blobs_of(settings)
    link = await NatsLink.connect(settings.nats, pool=settings.pool, name=f"runner {runner}")
    await _prepare(link)
    return Reached(link, settings.pool, blobs)


async def _reach_as_member(
    member: Membership, data: DataDirectory, turn_away: Callable[[], None]
) -> Reached:
    """As a registered runner. Raises NotJoined."""
    # The others do not carry what it takes.
    from runners.link.admission import Turned, enrol
    from runners.link.desk import DeskLink
    from runners.link.desk_blobs import DeskBlobs
    from runners.sources import Sources

    try:
        link = await DeskLink.connect(data.root, await enrol(data.root, member), turn_away)
    except Turned:
        raise NotJoined(
            f"runner {member.runner} is not let in (any more): it was revoked; to begin anew, ask"
            " for an invitation (`staunch runner add`) and start with an empty --data"
        ) from None
    standing = link.standing
    sources = Sources(data.root, link)
    return Reached(link, standing.pool, DeskBlobs(link, ""), sources, standing.is_single)


async def _prepare(link: NatsLink) -> None:
    while True:
        try:
            await link.ensure_consumers()
        except Unavailable as reason:
            log.warning("waiting for the host's streams", reason=str(reason))
            await asyncio.sleep(CONSUMER_RETRY_S)
        else:
            return


async def _unless_stopped(task: "asyncio.Task[Reached]", stop: asyncio.Event) -> Reached | None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None
    return task.result()


def main() -> int:
    """Entry of the agent's process."""
    configure_logging()
    # What it knows must not be left on the disk by its death.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Taken out of the environment: the bus's address may hold a password.
    given = msgspec.json.decode(os.environ.pop(OPTIONS))
    ours = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    try:
        settings = settings_of(given, ours)
    except WrongSetting as error:
        sys.exit(f"staunch-runner: {error}")
    for said in unknown_in(ours):
        log.warning("environment", problem=said)
    if settings.nats == ON_INPUT:
        # All is loaded; whoever started us says where the bus is once it is there, or ends.
        settings = msgspec.structs.replace(settings, nats=sys.stdin.read().strip())
    return asyncio.run(serve(settings)) if settings.nats else 0


if __name__ == "__main__":
    sys.exit(main())
