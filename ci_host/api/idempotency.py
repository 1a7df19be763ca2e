"""Idempotency: the header by which a request may be sent again, and is done once.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ ; it is a string of
structured fields there, and is taken without quotes too.
"""

from typing import Annotated

from fastapi import Depends, Header

from ci_host.api.problems import Problem

CHARS_MAX = 256


async def idempotency_key(
    idempotency_key: Annotated[
        str, Header(max_length=CHARS_MAX, description="The same twice is done once.")
    ] = "",
) -> str:
    """What the header says, or an empty text."""
    key = idempotency_key.strip()
    return key[1:-1] if len(key) >= 2 and key[0] == key[-1] == '"' else key


IdempotencyKey = Annotated[str, Depends(idempotency_key)]


def one_key(header: str, field: str) -> str:
    """The key of a request that may say it in two places. Raises Problem: they differ."""
    if header and field and header != field:
        said = "The header Idempotency-Key and the field of the body name two keys: leave one out."
        raise Problem(422, "Two keys", said)
    return header or field
