"""Envelopes: how the value of a Secret is kept: AES-256-GCM under a key of the host's ring.

Pure but for its nonces. The name, the scope and the version are authenticated with it: an envelope
that is put in another's place does not open. Where the ring is kept is an adapter's.
"""

import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipelines.secret import NamedScope, Scope

KEY_BYTES = 32
NONCE_BYTES = 12


class Unopenable(Exception):
    """An envelope cannot be opened; the message says which and what to do, never what is in it."""


class NoKeys(Unopenable):
    """The ring of keys cannot be had; the message says why and what to do."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the ring; `id` is no secret."""

    id: str
    key: bytes


class KeyRing(msgspec.Struct, frozen=True, kw_only=True):
    """The keys, the one that is used first; older ones open what was kept before."""

    keys: list[Key]

    @property
    def current(self) -> Key:
        """What new envelopes are made with."""
        return self.keys[0]


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A Secret as it is kept. `version` counts its values; `by` set the last one, `at` then."""

    name: str
    scope: Scope
    version: int
    at: float
    by: str
    key: str
    nonce: bytes
    sealed: bytes

    @property
    def named(self) -> NamedScope:
        """What tells it from others."""
        return NamedScope(name=self.name, scope=self.scope)


def seal(
    ring: KeyRing, named: NamedScope, value: str, *, version: int, at: float, by: str
) -> StoredSecret:
    """A new envelope."""
    nonce, key = os.urandom(NONCE_BYTES), ring.current
    sealed = AESGCM(key.key).encrypt(nonce, value.encode(), _bound(named, version, key.id))
    return StoredSecret(
        name=named.name,
        scope=named.scope,
        version=version,
        at=at,
        by=by,
        key=key.id,
        nonce=nonce,
        sealed=sealed,
    )


def open_envelope(ring: KeyRing, stored: StoredSecret) -> str:
    """Its value. Raises Unopenable."""
    key = next((one for one in ring.keys if one.id == stored.key), None)
    if key is None:
        raise Unopenable(
            f"secret {stored.name} is kept under the key {stored.key}, which this host does not"
            " have; bring back the key file that belongs to its data, or set the secret again"
        )
    try:
        bound = _bound(stored.named, stored.version, stored.key)
        return AESGCM(key.key).decrypt(stored.nonce, stored.sealed, bound).decode()
    except InvalidTag as error:
        raise Unopenable(
            f"secret {stored.name} is not what was kept under the key {stored.key}; set it again"
        ) from error


def _bound(named: NamedScope, version: int, key: str) -> bytes:
    return msgspec.json.encode([msgspec.to_builtins(named), version, key])
