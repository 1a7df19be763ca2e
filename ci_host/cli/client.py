"""Client: how a command finds its host and talks to it. Errors become sentences and exit codes.

By which HTTP client, and the words for answers that are no host's, are `wire.py`'s.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ci_host.cli.links import link_of
from ci_host.cli.profiles import PROFILE_VARIABLE, BadProfiles, Profile, read_profiles
from ci_host.cli.wire import (
    API,
    AWAY,
    TIMEOUT_S,
    NoProxy,
    are_one_host,
    foreign,
    no_staunch,
    opened,
    wrong_with,
)
from ci_host.running import read_state

if TYPE_CHECKING:
    import httpx2  # imported where it is used: `staunch up` must not wait for it

UNREACHABLE = 3
# The host says something each 15 s on a stream, if only that it is there.
SILENCE_S = 60.0


class ClientError(Exception):
    """A command cannot do what it was asked; `exit_code` for the shell.

    `status` is what the host answered with, or 0. `is_away`: it may answer again by itself, as one
    that is being started again does.
    """

    def __init__(
        self, message: str, exit_code: int = 1, status: int = 0, *, is_away: bool = False
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.status = status
        self.is_away = is_away


def default_data() -> Path:
    """Where an installation keeps its data unless told otherwise."""
    if chosen := os.environ.get("STAUNCH_DATA"):
        return Path(chosen)
    if os.geteuid() == 0:
        # Not under root's home: jobs run as users of their own, who may not enter there.
        return Path("/var/lib/staunch")
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "staunch"


@dataclass(frozen=True, slots=True)
class Client:
    """A host and a token. All calls raise ClientError with the host's own words."""

    url: str
    token: str

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 the API's JSON
        """GET, as JSON."""
        chosen = {key: value for key, value in query.items() if value not in (None, "")}
        return self._call("GET", path, params=chosen)

    def all(self, path: str, name: str, place: str = "after") -> list[dict[str, Any]]:
        """A list to its end, page by page; `place`: the name of where a page begins."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next": ""}
        while page.get("next") is not None:
            page = self.get(path, **{place: page["next"]})
            found += page[name]
        return found

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 the API's JSON
        """POST JSON, answered with JSON."""
        return self._call("POST", path, content=_encoded(body))

    def post_bytes(self, path: str, content: bytes) -> Any:  # noqa: ANN401 the API's JSON
        """POST bytes as they are, answered with JSON."""
        return self._call("POST", path, content=content)

    def put(self, path: str, body: object) -> Any:  # noqa: ANN401 the API's JSON
        """PUT JSON, answered with JSON."""
        return self._call("PUT", path, content=_encoded(body))

    def delete(self, path: str, **query: object) -> Any:  # noqa: ANN401 the API's JSON
        """DELETE, answered with JSON."""
        return self._call("DELETE", path, params=query)

    def text(self, path: str) -> str:
        """GET, as text."""
        return str(self._answer("GET", path).text)

    def save(self, path: str, target: Path, size: int) -> None:
        """GET into a file, which gets its name when it is whole. `size`: about how many bytes come,
        for whoever looks on at a terminal."""
        partial = target.with_name(f".{target.name}.part")
        url = f"{self.url}{API}{path}"
        try:
            with (
                self._asking(TIMEOUT_S, f"{target} did not come whole from {self.url}") as http,
                http.stream("GET", url, headers=self.headers) as answer,
            ):
                self._check(answer)
                with partial.open("wb") as file, _shown(target.name, size) as move:
                    for piece in answer.iter_bytes():
                        file.write(piece)
                        move(len(piece))
            partial.replace(target)
        except OSError as error:
            raise ClientError(f"{target} cannot be written: {error}") from error
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def events(self, path: str, place: str) -> Iterator[Iterable["httpx2.ServerSentEvent"]]:
        """A context, once the host gives them: server-sent events behind a place, until the
        connection ends."""
        headers = {**self.headers, "Last-Event-ID": place}
        with (
            self._asking(SILENCE_S, f"{self.url} answers no more") as http,
            # A chunk of a log may be of any length.
            http.sse(f"{self.url}{API}{path}", headers=headers, max_event_size=None) as source,
        ):
            self._check(source.response)
            yield source

    def _call(self, method: str, path: str, **how: Any) -> Any:  # noqa: ANN401
        answer = self._answer(method, path, **how)
        try:
            return answer.json()
        except ValueError as error:
            raise ClientError(no_staunch(self.url, answer), UNREACHABLE) from error

    def _answer(self, method: str, path: str, **how: Any) -> "httpx2.Response":  # noqa: ANN401
        with self._asking(TIMEOUT_S, f"no answer from {self.url}") as http:
            url = f"{self.url}{API}{path}"
            answer = http.request(method, url, headers=self.headers, **how)
        self._check(answer)
        return answer

    @contextlib.contextmanager
    def _asking(self, read_s: float, lost: str) -> Iterator["httpx2.Client"]:
        """What goes wrong on the way is told as a ClientError; `lost`: that there is no answer."""
        import httpx2

        try:
            with opened(self.url, read_s) as http:
                yield http
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise ClientError(f"{self.url!r} is no URL of a host: {error}", 2) from error
        except NoProxy as error:
            raise ClientError(str(error), UNREACHABLE) from error
        except (httpx2.DecodingError, httpx2.SSEError) as error:
            said = f"{self.url} answered what cannot be read ({error}): is it a Staunch?"
            raise ClientError(said, UNREACHABLE) from error
        except httpx2.RequestError as error:
            why = str(error) or type(error).__name__
            said = f"{lost} ({why}); is `staunch up` running?"
            raise ClientError(said, UNREACHABLE, is_away=True) from error

    def _check(self, answer: "httpx2.Response") -> None:
        """Raises ClientError unless it is a Staunch's, and no refusal."""
        is_away = answer.status_code in AWAY
        if said := foreign(self.url, answer):
            raise ClientError(said, UNREACHABLE, is_away=is_away)
        if not answer.is_success:
            answer.read()
            raise self._refused(answer)

    def _refused(self, answer: "httpx2.Response") -> ClientError:
        """In the host's own words."""
        if answer.status_code == 401:
            return ClientError(
                f"{self.url} does not know this token: give one that is valid there with --token or"
                " STAUNCH_TOKEN. `staunch up` writes one to the file token of its data directory;"
                " an administrator makes more with `staunch token add`",
                status=401,
            )
        status = answer.status_code
        exit_code = 4 if status == 404 else 1
        return ClientError(_detail(answer), exit_code, status, is_away=status in AWAY)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        who = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {**who, "Content-Type": "application/json"}


def run_path(run: str) -> str:
    """Where the API has a run: of an id, the beginning of one, or the address of its page.

    Raises ClientError for what cannot be a run's id.
    """
    run = link_of(run).run
    if not run or "/" in run or not run.strip("."):
        raise ClientError(f"there is no run {run!r}; `staunch runs` lists them", 4)
    return f"/runs/{quote(run, safe='', errors='replace')}"


def _encoded(body: object) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise ClientError(f"this cannot be sent as JSON: {error}", 2) from error


def _detail(answer: "httpx2.Response") -> str:
    try:
        problem = answer.json()
        return str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the host answered {answer.status_code}: {answer.text[:200]}"


def find(server: str | None, token: str | None, data: Path | None) -> Client:
    """The host that was named, that of a profile, or the one that runs from the data directory."""
    profile = _profile(server, is_local=data is not None)
    if profile is not None:
        server, token = profile.server, token or profile.token
    elif server is not None and (wrong := wrong_with(server)):
        raise ClientError(f"{server!r} is no URL of a host: {wrong}", 2)
    folder = data or default_data()
    if server is None:
        state = read_state(folder)
        if state is None:
            raise ClientError(
                f"no Staunch runs from {folder}: start one with `staunch up`, or name one with"
                " --server or STAUNCH_SERVER",
                UNREACHABLE,
            )
        server = state.url
    if token is None:
        token = _owner_s(folder, server)
    token = token.strip()
    if not token or not (token.isascii() and token.isprintable()):
        raise ClientError(
            "the token of --token or STAUNCH_TOKEN is empty, or no token of Staunch's"
        )
    return Client(server.rstrip("/"), token)


def _owner_s(folder: Path, server: str) -> str:
    """The key of whoever owns the installation that runs from there: no other host is told it.

    Raises ClientError.
    """
    state = read_state(folder)
    if state is None or not are_one_host(server, state.url):
        raise ClientError(
            f"no key for {server}: `staunch login {server}`, or give one with --token or"
            " STAUNCH_TOKEN",
            UNREACHABLE,
        )
    try:
        return (folder / "token").read_text()
    except OSError as error:
        raise ClientError(
            f"no token: give one with --token or STAUNCH_TOKEN, or see {folder / 'token'}"
            f" ({error.strerror})",
            UNREACHABLE,
        ) from error


def _profile(server: str | None, *, is_local: bool) -> Profile | None:
    """The one that was named, that of the server that was named, or the current one.

    A data directory that was named means the host there. Raises ClientError.
    """
    name = os.environ.get(PROFILE_VARIABLE, "")
    try:
        current, known = read_profiles()
    except BadProfiles as error:
        raise ClientError(str(error)) from error
    if name and name not in known:
        names = ", ".join(known) or "none"
        said = f"{PROFILE_VARIABLE} names no profile: {name!r} (there is: {names}); staunch login"
        raise ClientError(said, 2)
    if server is not None:
        of_it = (one for one in known.values() if one.server == server.rstrip("/"))
        return next(of_it, None)
    if name:
        return known[name]
    return None if is_local else known.get(current)


@contextlib.contextmanager
def _shown(name: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=size)
        yield lambda count: progress.advance(task, count)
