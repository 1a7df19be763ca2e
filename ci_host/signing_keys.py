"""Signing keys: by which the identity tokens of jobs are signed, and known to whoever checks them.

Pure. RSA with RS256 and nothing else, because every cloud takes that. Where they are kept is an
adapter's.
"""

from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey

ALGORITHM = "RS256"
BITS = 2048


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `retired_at` None: it signs; else it is published for what it signed before."""

    id: str
    pem: str
    made_at: float
    retired_at: float | None = None


def new_key(now: float) -> SigningKey:
    """A fresh one; its id is its thumbprint (RFC 7638)."""
    key = RSAKey.generate_key(BITS, private=True)
    return SigningKey(
        id=key.thumbprint(), pem=key.as_pem(private=True).decode(), made_at=now, retired_at=None
    )


def signed(key: SigningKey, claims: dict[str, Any]) -> str:
    """The token."""
    header = {"alg": ALGORITHM, "kid": key.id, "typ": "JWT"}
    return jwt.encode(header, claims, RSAKey.import_key(key.pem), algorithms=[ALGORITHM])


def published(keys: list[SigningKey]) -> dict[str, Any]:
    """What anybody may know of them, as a JWK set."""
    return {
        "keys": [
            {
                **RSAKey.import_key(key.pem).as_dict(private=False),
                "kid": key.id,
                "use": "sig",
                "alg": ALGORITHM,
            }
            for key in keys
        ]
    }
