"""Local host: an installation of one command's own, which ends with the command in every case."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from types import TracebackType

from ci_host.cli.client import Client, ClientError
from ci_host.cli.wire import unusable_proxies
from ci_host.running import read_state
from ci_host.settings import PROCESS_VARIABLE, Hibernate, ProcessSettings, Settings, encode

LOOK_S = 0.03
# More than the keeper takes at worst.
END_S = 60.0
# Many times what it takes from one sign of itself to the next.
STUCK_S = 60.0
SAID_LINES_MAX = 10
# What says of the shell's installation where it is: this one is another.
_OF_ANOTHER = frozenset(
    f"STAUNCH_{name}"
    for name in ("DATA", "SERVER", "TOKEN", "PORT", "HOST", "BASE_URL", "ENGINES", "HIBERNATE")
) | {"STAUNCH_NATS_URL", "STAUNCH_NATS_REPLICAS", "STAUNCH_NATS_PORT"}


@dataclass(frozen=True, slots=True)
class Wish:
    """`is_kept`: the data directory stays when the command has ended."""

    data: Path
    cache: Path
    hibernate: Hibernate
    slots: int
    is_kept: bool
    volumes: dict[str, Path] = field(default_factory=dict)
    egress: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LocalHost:
    """A context: inside, `client` speaks to the installation, which is waited for with `ready`.

    Raises ClientError if none comes.
    """

    wish: Wish
    _keeper: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _client: Client | None = field(default=None, init=False)
    _port: int = field(default=0, init=False)
    _said: int = field(default=-1, init=False)
    # Of this command's only: the data may be that of an earlier one.
    _opening: str = field(default_factory=lambda: f"opening-{token_hex(8)}", init=False)

    def __enter__(self) -> "LocalHost":
        if read_state(self.wish.data) is not None:
            raise ClientError(
                f"Staunch runs from {self.wish.data}; stop it, or give another --data", 3
            )
        self._port = _free_port()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            # Whoever has it open can read it when the keeper has removed it with the rest.
            self._said = os.open(self._log, os.O_RDONLY)
            # A session of its own: Ctrl-C is for the command, and this ends after it.
            self._keeper = subprocess.Popen(  # noqa: S603
                self._command(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**_environment(), PROCESS_VARIABLE: self._told()},
            )
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def client(self) -> Client:
        """Its administrator's."""
        assert self._client is not None, "it was waited for"
        return self._client

    @property
    def opening(self) -> Path:
        """Where what it begins with is given to it."""
        return self.wish.data / self._opening

    def ready(self) -> None:
        """Wait until the host answers somebody who has its token, which it writes before it
        listens. Raises ClientError: it has ended, or comes no further."""
        url = f"http://127.0.0.1:{self._port}"
        met: set[str] = set()
        since = time.monotonic()
        while self._client is None:
            self.check_alive()
            time.sleep(LOOK_S)
            try:
                client = Client(url, (self.wish.data / "token").read_text().strip())
                client.get("/whoami")
            except (OSError, ClientError) as error:
                if str(error) not in met:
                    # It has come further: no token yet, then no answer, then one.
                    met.add(str(error))
                    since = time.monotonic()
                elif time.monotonic() - since > STUCK_S:
                    raise ClientError(self._stuck(error), 3) from error
                continue
            self._client = client

    def _stuck(self, wrong: Exception) -> str:
        said = f"the installation has come no further for {STUCK_S:.0f} s ({wrong})"
        return f"{said}. The last that it said:\n{self._last_said()}"

    def check_alive(self) -> None:
        """Raises ClientError, with what it said, if the installation has ended."""
        assert self._keeper is not None
        if self._keeper.poll() is not None:
            said = self._last_said().removeprefix("staunch: ")
            raise ClientError(f"the installation has ended: {said}", 3)

    def _last_said(self) -> str:
        said = os.pread(self._said, os.fstat(self._said).st_size, 0).decode(errors="replace")
        lines = said.strip().splitlines()
        return "\n".join(lines[-SAID_LINES_MAX:]) or "it said nothing"

    @property
    def _log(self) -> Path:
        return self.wish.data / "logs" / "up.log"

    def _command(self) -> list[str]:
        wish = self.wish
        keeper = [sys.executable, "-m", "ci_host.keeper", "" if wish.is_kept else str(wish.data)]
        return [*keeper, sys.executable, "-m", "ci_host", "process", "up"]

    def _told(self) -> str:
        """What `staunch up` would make of its options, without a command line to load."""
        wish = self.wish
        binary = os.environ.get("STAUNCH_NATS_SERVER")
        settings = Settings(
            data=wish.data,
            cache=wish.cache,
            http_port=self._port,
            nats_server=Path(binary) if binary else None,
            # One engine: a single run has no use for more, and waits for the last to start.
            engines=1,
            hibernate=wish.hibernate,
            slots=wish.slots,
            volumes=wish.volumes,
            egress=wish.egress,
            # Its commit is made for this run: there is nobody to hear of another.
            reconcile_s=0,
            any_event=True,
            opening=self.opening,
        )
        return encode(ProcessSettings(settings=settings))

    def _end(self) -> None:
        assert self._keeper is not None and self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(END_S)
        os.close(self._said)
        self.opening.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    # With a proxy of another kind its host would not begin; it asks nobody.
    left_out = _OF_ANOTHER.union(unusable_proxies(os.environ))
    return {name: value for name, value in os.environ.items() if name not in left_out}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
