"""Services: databases and the like that run beside a job, while it runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from staunch.durations import Duration, seconds
from staunch.images import image_of
from staunch.shell import environment, text

SERVICES_MAX = 10
READY_S_DEFAULT = 60.0
PORT_MAX = 65_535

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Service:
    """What its `image` runs, with `args` instead of the image's own if given; or the shell command
    `run`, in the image if there is one, else among the job's programs.

    The job begins when the command `ready` succeeds, tried again and again in the service's own
    sandbox, and something listens at `port`. If that takes longer than `ready_in`, it fails.
    """

    image: str = ""
    run: str = ""
    args: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    ready: str = ""
    port: int = 0
    ready_in: Duration = READY_S_DEFAULT


def asked(services: Mapping[str, Service]) -> list[dict[str, Any]]:
    """`services=` in its wire form. Raises TypeError or ValueError saying what it may be."""
    if not isinstance(services, Mapping):
        raise TypeError('services must be a dict: services={"db": Service(image="postgres:15")}')
    if len(services) > SERVICES_MAX:
        raise ValueError(f"a job may have {SERVICES_MAX} services, not {len(services)}")
    return [_asked(name, one) for name, one in services.items()]


def _asked(name: str, service: Service) -> dict[str, Any]:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "localhost":
        raise ValueError(
            "a service's name is the host that the job reaches: 1 to 32 small letters, digits and"
            f" -, from a letter on, not {name!r}"
        )
    if not isinstance(service, Service):
        raise TypeError(f"service {name!r} is {service!r}; write Service(image=…) or (run=…)")
    what = f"of service {name!r}"
    if not service.image and not text(service.run, f"run {what}").strip():
        raise ValueError(f"service {name!r} needs an image, or a command: run=…")
    if service.args and (service.run or not service.image):
        raise ValueError(f"args {what} are for what its image runs: without run, with an image")
    optional: dict[str, Any] = {
        "image": service.image and image_of(service.image),
        "run": text(service.run, f"run {what}"),
        "args": _words(service.args, f"args {what}"),
        "env": environment(service.env),
        "ready": text(service.ready, f"ready {what}"),
        "port": _port(service.port, what),
    }
    wish = {"name": name} | {key: value for key, value in optional.items() if value}
    if service.ready_in != READY_S_DEFAULT:
        wish["ready_s"] = seconds(service.ready_in, f"ready_in {what}")
    return wish


def _words(given: Any, what: str) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"{what} must be a list of texts, not {given!r}")
    return [text(one, f"one of the {what}") for one in given]


def _port(given: Any, what: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= PORT_MAX:
        raise ValueError(f"port {what} must be a number up to {PORT_MAX}, not {given!r}")
    return given
