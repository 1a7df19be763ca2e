"""The files of a job's services: what each is given to run, and where it may write.

Here: `services/` of a job directory, and the driver, a shell loop that asks whether the service is
ready. Whether it is, and for how long it is waited for, is `services`'.

    services/<name>/run/driver        runs the service, and beside it the loop
    services/<name>/run/main, ready   the commands, as they were written
    services/<name>/volumes/<n>       folders that its image leaves to be written
    services/<name>/log               its output, append only
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pipelines.job import JobSpec
from pipelines.service import NAME, Service
from runners import job_directory, steps
from runners.ports import ImageRoot, Launch, Refused

PORT_MAX = 65_535

# Descriptor 4 brings questions, 3 takes answers; the service itself has neither. What the command
# says is of interest once, not five times a second.
DRIVER = """\
base=$1
shift
shell=/bin/sh
[ -x /bin/bash ] && shell=/bin/bash
if [ -f "$base/ready" ]; then
  (
    last=
    while read -r _ <&4; do
      said=$("$shell" -e "$base/ready" 2>&1 3>&- 4<&- </dev/null)
      code=$?
      [ "$said" = "$last" ] || printf '%s\\n' "$said"
      last=$said
      echo "$code" >&3
    done
  ) &
fi
[ -f "$base/main" ] && set -- "$shell" -e "$base/main"
exec "$@" 3>&- 4<&- </dev/null
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of one service lie in a job directory."""

    directory: Path
    name: str

    @property
    def folder(self) -> Path:
        """All of them."""
        return self.directory / job_directory.SERVICES / self.name

    @property
    def run(self) -> Path:
        """What it is given to run."""
        return self.folder / job_directory.RUN

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / job_directory.LOG

    def volumes(self, root: ImageRoot) -> dict[str, str]:
        """Those of its image: inside → outside."""
        return {inside: str(self.volume(n)) for n, inside in enumerate(root.volumes)}

    def volume(self, number: int) -> Path:
        """One of them."""
        return self.folder / job_directory.VOLUMES / str(number)


def check(service: Service, root: ImageRoot | None) -> None:
    """Raises Refused where it cannot be run so."""
    for name, value in service.env.items():
        steps.check_variable(name, value)
    words = [service.run, service.ready, *service.args]
    if any("\x00" in word for word in words):
        raise Refused(f"service {service.name!r} holds a NUL byte, which no command can")
    if not NAME.fullmatch(service.name) or not 0 <= service.port <= PORT_MAX:
        raise Refused(f"{service.name!r} with port {service.port} can be no service")
    has_words = service.run or service.args or root is None or root.entrypoint or root.command
    if not has_words:
        raise Refused(
            f"the image of service {service.name!r} does not say what to run; say it with run=…"
        )


def words_of(service: Service, root: ImageRoot | None) -> list[str]:
    """What its sandbox executes."""
    driver = ["/bin/sh", "/run/staunch/driver", "/run/staunch"]
    if service.run or root is None:
        return driver
    words = [*root.entrypoint, *(service.args or root.command)]
    # Without a question nothing of ours takes part: an image may have no shell.
    return [*driver, *words] if service.ready else words


def write(spec: JobSpec, launch: Launch, staging: Path) -> None:
    """Fill `services/` of a new job directory."""
    volumes = {one.name: one.volumes for one in launch.services}
    for service in spec.request.services:
        places = Places(staging, service.name)
        places.run.mkdir(mode=0o755, parents=True)
        steps.write_facts(spec, places.run)
        scripts = {"driver": DRIVER, "main": service.run, "ready": service.ready}
        for name, text in scripts.items():
            if text:
                content = text.encode("utf-8", "surrogateescape")
                places.run.joinpath(name).write_bytes(content + b"\n")
        for number in range(volumes.get(service.name, 0)):
            _make_volume(places.volume(number), launch)


def _make_volume(path: Path, launch: Launch) -> None:
    """An empty folder of the slot's user."""
    path.mkdir(mode=0o755, parents=True)
    if launch.uid is not None and launch.gid is not None:
        os.chown(path, launch.uid, launch.gid)
