"""SigningKeyFile: the keys of identity tokens, in a file that only the host's user reads."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from ci_host.adapters.files import private
from ci_host.envelopes import NoKeys
from ci_host.signing_keys import SigningKey, new_key

NAME = "tokens.key"
# Whoever checks tokens may keep our keys for a day.
PUBLISHED_S = 86_400.0


class SigningKeyFile:
    """See SigningKeys. The file is made with the first key."""

    def __init__(self, data: Path, now: Callable[[], float]) -> None:
        self._path = data / NAME
        self._now = now

    def read(self) -> list[SigningKey]:
        """Those that are published; the first one signs. Raises NoKeys."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            private.create(self._path, msgspec.json.encode([new_key(self._now())]))
            content = self._path.read_bytes()
        try:
            return msgspec.json.decode(content, type=list[SigningKey])
        except msgspec.MsgspecError as error:
            raise NoKeys(f"{self._path} holds no keys: move it away to have new ones") from error

    def rotate(self) -> SigningKey:
        """A new one signs from now on; the old ones stay published for a day."""
        now = self._now()
        old = [
            msgspec.structs.replace(key, retired_at=key.retired_at or now) for key in self.read()
        ]
        kept = [key for key in old if (key.retired_at or now) > now - PUBLISHED_S]
        keys = [new_key(now), *kept]
        private.write(self._path, msgspec.json.encode(keys))
        return keys[0]
