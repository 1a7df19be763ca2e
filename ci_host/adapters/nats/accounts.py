"""Accounts: who may use the embedded nats-server, as a file that its configuration includes.

The installation itself is one user, by password; each registered Runner is one, by its public key
and with the subjects of its Grant. The file is replaced as a whole, and the server reads it anew:
it ends the connections of whoever is in it no more. See Accounts of `desk_ports`.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ci_host.adapters.nats.monitoring import ask
from ci_host.ports import Unavailable
from ci_host.registration import Grant

USER = "staunch"
FILE, PID_FILE, CONFIG_FILE = "accounts.conf", "nats-server.pid", "nats-server.conf"
TAKEN_S = 10.0
LOOK_S = 0.02
# Of a key, a runner's id and a pool no more can come; what is quoted must not end its quotes.
FORBIDDEN = frozenset('"\\\n\r$')


def write_accounts(store: Path, token: str, grants: Sequence[Grant]) -> bool:
    """Replace the file in one step; whether it is another one now. Raises OSError."""
    path = store / FILE
    text = _text(token, grants)
    with suppress(FileNotFoundError):
        if path.read_text() == text:
            return False
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return True


def _text(token: str, grants: Sequence[Grant]) -> str:
    users = [f'    {{ user: {USER}, password: "{token}" }}', *map(_user, grants)]
    lines = ["# Written by Staunch; replaced at every change.", "authorization {", "  users: ["]
    return "\n".join([*lines, *users, "  ]", "}", ""])


def _user(grant: Grant) -> str:
    publish, subscribe = (_subjects(one) for one in (grant.publish, grant.subscribe))
    return (
        f'    {{ nkey: "{_safe(grant.key)}", permissions: {{'
        f" publish: {{ allow: [{publish}] }}, subscribe: {{ allow: [{subscribe}] }} }} }}"
    )


def _subjects(subjects: Sequence[str]) -> str:
    return ", ".join(f"'{_safe(subject)}'" for subject in subjects)


def _safe(text: str) -> str:
    """Subjects of JetStream's API have a dollar sign, which single quotes keep as it is."""
    assert not FORBIDDEN & set(text.replace("$JS.", "")), f"{text!r} cannot be in the accounts"
    assert "'" not in text, f"{text!r} cannot be in the accounts"
    return text


class NatsAccounts:
    """Of the server whose store is there. `address`: where Runners reach it, or empty."""

    def __init__(self, store: Path, address: str) -> None:
        self._store = store
        self._address = address
        self._is_applied = False

    @property
    def address(self) -> str:
        return self._address

    @property
    def certificate(self) -> bytes:
        if not self._address:
            return b""
        # Only where others come: it loads a library that nobody else needs.
        from ci_host.adapters.nats.certificate import certificate_of

        return certificate_of(self._store)

    async def allow(self, grants: Sequence[Grant]) -> None:
        try:
            token = (self._store / "token").read_text().strip()
            is_new = await asyncio.to_thread(write_accounts, self._store, token, grants)
            if is_new or not self._is_applied:
                self._is_applied = False
                await asyncio.to_thread(_reload, self._store)
        except OSError as error:
            raise Unavailable(f"the accounts of the message server: {error}") from error
        self._is_applied = True


def _reload(store: Path) -> None:
    """Have the server read its configuration, and wait until it has. Raises Unavailable."""
    pid = int((store / PID_FILE).read_text())
    # A handle first, and then a look: the number may be another process's by now.
    handle = os.pidfd_open(pid)
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if str(store / CONFIG_FILE).encode() not in words:
            raise Unavailable("the message server is being started anew")
        before = _read_at(store, pid)
        signal.pidfd_send_signal(handle, signal.SIGHUP)
        deadline = time.monotonic() + TAKEN_S
        while _read_at(store, pid) == before:
            if time.monotonic() > deadline:
                raise Unavailable(
                    "the message server did not take its new accounts; its log says why:"
                    f" {store / 'nats-server.log'}"
                )
            time.sleep(LOOK_S)
    finally:
        os.close(handle)


def _read_at(store: Path, pid: int) -> str:
    """When the server last read its configuration, in its own words."""
    ports = json.loads((store / "ports" / f"nats-server_{pid}.ports").read_text())
    with ask(f"{ports['monitoring'][0]}/varz", 5.0) as answer:
        return str(json.loads(answer.read())["config_load_time"])
