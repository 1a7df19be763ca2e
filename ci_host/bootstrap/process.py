"""Process: the outermost frame of a host or engine process: loop, logging, signals, exit."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress

import structlog

from ci_host.bootstrap.loading import begin_loading
from ci_host.held import wait_told
from ci_host.log_lines import line_logger
from ci_host.settings import PROCESS_VARIABLE, ProcessSettings, Settings, decode


def run_process(role: str, arguments: list[str]) -> None:
    """Run one process of this role until it is told to end. Its settings are in the environment.

    The role `image` ends by itself; its argument is the cache directory.
    """
    if role == "image":
        from ci_host.bootstrap.image import run_image

        run_image(arguments[0])
        return
    configure_logging()
    # What a process knows must not be left on the disk by its death.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    settings = decode(os.environ.pop(PROCESS_VARIABLE))
    if role == "up":
        _supervise(settings.settings)
        return
    begin_loading()
    work = _work(role, settings)
    # Only here: the supervisor has no use for it, and everybody waits for the supervisor.
    import uvloop

    nats_url = wait_told()
    if nats_url:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(work(nats_url)))


def _supervise(settings: Settings) -> None:
    """All of an installation, for the command that it belongs to."""
    from ci_host.adapters.nats.server import ServerError
    from ci_host.ports import Unavailable
    from ci_host.supervisor import Supervisor

    try:
        asyncio.run(Supervisor(settings, lambda _: None).run())
    except (ServerError, Unavailable) as error:
        sys.exit(f"staunch: {error}")


def configure_logging() -> None:
    """Structured lines on standard error; the supervisor sends them to a file."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=line_logger,
    )


def _work(role: str, settings: ProcessSettings) -> Callable[[str], Coroutine[None, None, None]]:
    """Load it; answers what does it, once it is told where the bus is."""
    match role:
        case "engine":
            from ci_host.bootstrap.engine import Engine

            return Engine(settings).run
        case "host":
            from ci_host.bootstrap.host import Host

            return Host(settings).run
        case _:
            sys.exit(f"there is no process called {role!r}")


async def _until_told(work: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
