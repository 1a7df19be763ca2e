"""Command: the one place where git is started, through GitPython and hardened.

Nothing of the machine's or the user's configuration is read, no hook or filter runs, no prompt
opens, and only the protocol that the caller names may be used. Each call has a time cap and an
output cap, and its whole process group dies at the end of the time.

GitPython's dynamic calls (`repo.git.<command>`) check nothing and are used nowhere.
"""

import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO

from git import Git

from ci_host.adapters.git.errors import FetchFailed

COMMAND_TIMEOUT_S = 20.0
OUTPUT_BYTES_MAX = 16 * 1024 * 1024
# Any one file that git writes, a fetched pack above all.
FILE_BYTES_MAX = 8 * 1024 * 1024 * 1024

_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "credential.helper": "",
    "http.followRedirects": "false",
    "protocol.version": "2",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.fsckObjects": "true",
    # Harmless faults of old tools, which much public history holds; the dangerous ones stay errors.
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.badFilemode": "ignore",
    # A pack appears at once and fsynced; loose objects trickle in, the commit before its trees.
    "fetch.unpackLimit": "1",
}
_SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ADVICE": "0",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
}
# Git leaves credentials out of it.
_TRACED = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1", "GIT_TRACE_REDACT": "1"}
# The operator's own certificates are the one thing that may come in from outside.
_INHERITED = frozenset({"GIT_SSL_CAINFO", "GIT_SSL_CAPATH"})
_NO_PROTOCOL = "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a git process ended; `said` is its standard error."""

    status: int
    out: bytes
    said: str


def run_git(
    folder: Path,
    *arguments: str,
    protocol: str = _NO_PROTOCOL,
    config: Mapping[str, str] | None = None,
    timeout_s: float = COMMAND_TIMEOUT_S,
    is_told_headers: bool = False,
) -> Answer:
    """Run one git command in a bare repository and wait for its end.

    `is_told_headers`: what HTTP servers answer is in `said`, beside git's own words; what they are
    asked with, a token above all, is not.

    Raises FetchFailed at the end of the time; any exit status is an Answer.
    """
    more = _TRACED if is_told_headers else {}
    process = _start(folder, arguments, protocol, config or {}, subprocess.DEVNULL, more)
    try:
        out, said = _drain(process, time.monotonic() + timeout_s)
    except (TimeoutError, subprocess.TimeoutExpired):
        raise FetchFailed(
            f"git {arguments[0]} took longer than {timeout_s:g} s and was ended"
        ) from None
    finally:
        _end(process)
    return Answer(process.returncode, out, said.decode("utf-8", "replace"))


@contextmanager
def converse(
    folder: Path, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S
) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A git process to talk with: its standard input and output, until the block ends.

    At the end of the time it is killed, and reading meets the end of the stream.
    """
    process = _start(folder, arguments, _NO_PROTOCOL, {}, subprocess.PIPE)
    watchdog = Timer(timeout_s, _kill, (process.pid,))
    watchdog.daemon = True
    watchdog.start()
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        watchdog.cancel()
        _end(process)


def _start(
    folder: Path,
    arguments: tuple[str, ...],
    protocol: str,
    config: Mapping[str, str],
    stdin: int,
    more: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    command = ["git", f"--git-dir={folder}", *arguments]
    env = {**_environment(protocol, config), **(more or {})}
    # GitPython adds to our own environment and cannot take away: a hook's GIT_DIR must not get in.
    foreign = [
        name
        for name in os.environ
        if name.startswith("GIT_") and name not in env and name not in _INHERITED
    ]
    if foreign:
        command = ["env", *(part for name in sorted(foreign) for part in ("-u", name)), *command]
    started = Git().execute(command, as_process=True, istream=stdin, env=env, process_group=0)
    process = started.proc
    assert process is not None
    # Ours from here on: GitPython's wrapper would end it when it is collected.
    started.proc = None
    _limit_files(process.pid)
    return process


def _limit_files(pid: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = FILE_BYTES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILE_BYTES_MAX)
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))


def _environment(protocol: str, config: Mapping[str, str]) -> dict[str, str]:
    # In the environment and not in the arguments: a header in here may hold a token.
    entries = [*_CONFIG.items(), *config.items()]
    env = {**_SETTINGS, "GIT_ALLOW_PROTOCOL": protocol, "GIT_CONFIG_COUNT": str(len(entries))}
    for index, (key, value) in enumerate(entries):
        env[f"GIT_CONFIG_KEY_{index}"], env[f"GIT_CONFIG_VALUE_{index}"] = key, value
    return env


def _drain(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, bytes]:
    """All output, of which the first OUTPUT_BYTES_MAX are kept: a server's chatter has no end."""
    kept: dict[int, bytearray] = {}
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            kept[stream.fileno()] = bytearray()
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    selector.unregister(key.fileobj)
                kept[key.fd] += chunk[: OUTPUT_BYTES_MAX - len(kept[key.fd])]
    process.wait(max(0.1, deadline - time.monotonic()))
    out, said = kept.values()
    return bytes(out), bytes(said)


def _end(process: "subprocess.Popen[bytes]") -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
    if process.poll() is None:
        _kill(process.pid)
        process.wait()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
