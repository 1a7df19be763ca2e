"""A Service: what runs beside a Job, in its network, such as a database. Pure.

Here: what is asked for, and what is told of it. What keeps it running is the Runner's.
"""

import re

import msgspec

READY_S_DEFAULT = 60.0
# Of the id of a Job: see `ids.job_id`.
JOB_TOKENS = 3
NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")


class Service(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One Service of a Job. `name` is also the host under which the Job reaches it.

    Its root is an `image` that the Runner knows, else the Job's own. What runs is `run`, a shell
    command, else what the image says, with `args` in the place of the image's. It is ready when
    the shell command `ready` succeeds in its sandbox and something listens at `port`; with neither,
    once it is started. One that is not ready after `ready_s` fails the Job.
    """

    name: str
    image: str = ""
    run: str = ""
    args: list[str] = []
    env: dict[str, str] = {}
    ready: str = ""
    port: int = 0
    ready_s: float = READY_S_DEFAULT


class ServiceReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a Service. `state`: `ready`, until the Job was over; `ended` before that;
    `failed`: it never was ready; `starting`: the Job was over before; `asked`: nothing is told yet.
    `message` says why, `image` what its root was, by digest; `seconds` is how long it took until it
    was ready.
    """

    name: str
    state: str
    message: str = ""
    image: str = ""
    seconds: float = 0.0
    log_bytes: int = 0


def log_of_service(job: str, name: str) -> str:
    """The id under which the log of a Service is stored: that of its Job, and its name."""
    return f"{job}.{name}"


def owner_of_log(log: str) -> tuple[str, str]:
    """The Job whose log it is, or whose Service's: its name, or nothing."""
    tokens = log.split(".")
    return ".".join(tokens[:JOB_TOKENS]), ".".join(tokens[JOB_TOKENS:])
