"""KeyRingFile: the keys under which secrets are kept, in a file that only the host's user reads.

Or given by the environment, where an operator keeps keys elsewhere: STAUNCH_SECRETS_KEY, one or
several `id:base64` with commas between, the first is used; STAUNCH_SECRETS_KEY_FILE, another place
for the file. It is read anew each time: it is small, and another process may have changed it.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ci_host.adapters.files import private
from ci_host.envelopes import KEY_BYTES, Key, KeyRing, NoKeys
from ci_host.settings import SECRETS_KEY_VARIABLE

FILE_VARIABLE = "STAUNCH_SECRETS_KEY_FILE"
NAME = "secrets.key"


class KeyRingFile:
    """See KeyKeeper. The file is made with the first key."""

    def __init__(self, data: Path, environment: Mapping[str, str]) -> None:
        self._given = environment.get(SECRETS_KEY_VARIABLE, "")
        self._path = Path(environment.get(FILE_VARIABLE) or data / NAME)

    def read(self) -> KeyRing:
        """All keys, the one in use first. Raises NoKeys."""
        if self._given:
            return KeyRing(keys=[_key(text) for text in self._given.split(",")])
        try:
            ring = msgspec.json.decode(self._path.read_bytes(), type=KeyRing)
        except FileNotFoundError:
            return self._write(KeyRing(keys=[_new_key()]), is_first=True)
        except (OSError, msgspec.MsgspecError) as error:
            raise NoKeys(f"{self._path} cannot be read: {type(error).__name__}") from error
        if not ring.keys:
            raise NoKeys(f"{self._path} holds no key")
        return ring

    def add(self) -> KeyRing:
        """A further key, used from now on, where they are ours to make. Durable when it returns."""
        ring = self.read()
        return ring if self._given else self._write(KeyRing(keys=[_new_key(), *ring.keys]))

    def keep_only(self, used: set[str]) -> KeyRing:
        """Forget the keys that are neither used by an envelope nor the current one."""
        ring = self.read()
        kept = [key for key in ring.keys if key.id in used or key is ring.current]
        if self._given or len(kept) == len(ring.keys):
            return ring
        return self._write(KeyRing(keys=kept))

    def _write(self, ring: KeyRing, *, is_first: bool = False) -> KeyRing:
        """The whole file anew, in one piece, also through a power cut."""
        content = msgspec.json.encode(ring)
        if not is_first:
            private.write(self._path, content)
        elif not private.create(self._path, content):
            # Of two hosts that begin at once one makes the keys, and both use them.
            return self.read()
        return ring


def _new_key() -> Key:
    return Key(id=secrets.token_hex(4), key=secrets.token_bytes(KEY_BYTES))


def _key(text: str) -> Key:
    """Raises NoKeys, without the key in its message."""
    name, _, encoded = text.strip().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not name or len(key) != KEY_BYTES:
        raise NoKeys(
            f"{SECRETS_KEY_VARIABLE} must hold id:key with a key of {KEY_BYTES} bytes in base64,"
            " such as `echo k1:$(head -c 32 /dev/urandom | base64)`"
        )
    return Key(id=name, key=key)
