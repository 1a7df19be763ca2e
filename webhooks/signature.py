"""Signatures over raw webhook bodies: HMAC-SHA256 in the three forms that forges use, and tokens.

Every comparison takes constant time, every configured secret is tried (rotation), and an empty
signature or an empty secret never matches. Parsing the body is not done here, or before this.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from webhooks.errors import Unverified

TOLERANCE_S = 300
KEY_BYTES_MIN = 24
KEY_BYTES_MAX = 64
STANDARD_SECRET_PREFIX = "whsec_"  # noqa: S105  (the public prefix of the scheme, not a secret)


def verify_prefixed(signature: str, body: bytes, secrets: Sequence[str]) -> None:
    """GitHub's form, `sha256=<hex>`. Raises Unverified."""
    scheme, equals, digest = signature.partition("=")
    if scheme != "sha256" or not equals:
        raise Unverified("the signature is missing or not of the form sha256=<hex>")
    verify_hex(digest, body, secrets)


def verify_hex(digest: str, body: bytes, secrets: Sequence[str]) -> None:
    """Gitea's and Forgejo's form, the bare hex digest. Raises Unverified."""
    # A forge without a secret sends the header empty: that is unsigned, not signed with nothing.
    if not digest:
        raise Unverified("the signature is empty")
    keys = [secret.encode() for secret in secrets if secret]
    wanted = [hmac.new(key, body, hashlib.sha256).hexdigest() for key in keys]
    _match([digest], wanted)


def verify_standard(
    message_id: str,
    timestamp: str,
    signatures: str,
    body: bytes,
    *,
    secrets: Sequence[str],
    now: float,
) -> None:
    """Standard Webhooks: `v1,<base64>` over `id.timestamp.body`, at most five minutes old.

    Signatures of other versions are skipped. Raises Unverified.
    """
    if not message_id or not (timestamp.isascii() and timestamp.isdecimal()):
        raise Unverified("webhook-id or webhook-timestamp is missing or malformed")
    # Bounded before it becomes a number: a thousand digits are no time.
    if len(timestamp) > 12 or abs(now - int(timestamp)) > TOLERANCE_S:
        raise Unverified(f"the timestamp {timestamp[:12]} is more than {TOLERANCE_S} s from now")
    given = [part[3:] for part in signatures.split(" ") if part.startswith("v1,")]
    # With nothing as its key anybody can sign: `whsec_` alone is no secret.
    keys = [key for secret in secrets if secret and (key := standard_key(secret))]
    _match(given, [sign_standard(message_id, timestamp, body, key) for key in keys])


def verify_plain(token: str, secrets: Sequence[str]) -> None:
    """GitLab's older form: the secret itself, in a header. Covers no body. Raises Unverified."""
    if not token:
        raise Unverified("the token is missing or empty")
    # Servers read headers as Latin-1; forges send what they hold, in UTF-8.
    sent = token.encode("latin-1", "replace").decode("utf-8", "replace")
    _match([sent, token], [secret for secret in secrets if secret])


def sign_standard(message_id: str, timestamp: str, body: bytes, key: bytes) -> str:
    """The base64 signature, without its version."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def standard_key(secret: str) -> bytes:
    """The key in a secret: base64 with or without `whsec_`; any other text is the key itself."""
    text = secret.removeprefix(STANDARD_SECRET_PREFIX)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()


def standard_problem(secret: str) -> str | None:
    """What is wrong with a signing token, a secret that begins with `whsec_`; None: nothing.

    Standard Webhooks: base64 of 24 to 64 bytes.
    """
    if not secret.startswith(STANDARD_SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return "what follows whsec_ is no base64"
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        return f"its key has {len(key)} bytes, not {KEY_BYTES_MIN} to {KEY_BYTES_MAX}"
    return None


def _match(given: Sequence[str], wanted: Sequence[str]) -> None:
    if not wanted:
        raise Unverified("the connection has no secret, so nothing can be verified")
    # Every pair is compared, so that the time taken does not tell which secret came close.
    hits = [
        hmac.compare_digest(_bytes(one), other.encode()) for one in given for other in wanted if one
    ]
    if not any(hits):
        raise Unverified("no secret of the connection made this signature")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
