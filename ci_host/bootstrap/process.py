"""Process: the outermost frame of a host or engine process: loop, logging, signals, exit."""

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress

import structlog
import uvloop

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
    # Nothing of what is imported becomes garbage: looking through it again and again would be a
    # seventh of the start.
    gc.disable()
    work = _work(role, settings)
    gc.freeze()
    gc.enable()
    # All is loaded; the supervisor ends our input when there is something to work on.
    os.read(sys.stdin.fileno(), 1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(work))


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


def _work(role: str, settings: ProcessSettings) -> Coroutine[None, None, None]:
    match role:
        case "engine":
            from ci_host.bootstrap.engine import run_engine

            return run_engine(settings)
        case "host":
            from ci_host.bootstrap.host import run_host

            return run_host(settings)
        case _:
            sys.exit(f"there is no process called {role!r}")


async def _until_told(work: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
