"""Hook of a Repo: the URL that its webhook calls, and the secret that is that webhook's alone.

Forges show a webhook's secret to whoever administers its repository. With the Connection's they
could sign calls of every other one; so each Repo's is made from it, and under a Repo's URL nothing
is believed but what is of that Repo. What signs for many at once (a GitHub App, an organisation)
calls the Connection's URL, with the Connection's own secret.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from pipelines.repo import Connection
from webhooks.signature import STANDARD_SECRET_PREFIX, standard_key

PREFIX = "/hooks/"

Hooked = TypeVar("Hooked")


def hook_path(connection: str, external_id: str = "") -> str:
    """Of a Repo, or of all of its Connection; that one also where the id is no part of a path."""
    own = f"/{quote(external_id, safe='')}" if external_id and "/" not in external_id else ""
    return f"{PREFIX}{connection}{own}"


def called_by(path: str) -> tuple[str, str] | None:
    """The inverse of `hook_path`, of an unquoted path; None: no hook's."""
    if not path.startswith(PREFIX):
        return None
    connection, slash, external_id = path.removeprefix(PREFIX).partition("/")
    is_one = bool(connection) and "/" not in external_id and bool(external_id) == bool(slash)
    return (connection, external_id) if is_one else None


def ours_of(there: Sequence[Hooked], called: Callable[[Hooked], str], url: str) -> Hooked | None:
    """Of a repository's webhooks the one for `url`, a Repo's; or the one that was made before Repos
    had one of their own. `called`: the URL that one calls."""
    by_url = {called(one): one for one in reversed(there)}
    return by_url.get(url) or by_url.get(url.rpartition("/")[0])


def given_to(connection: Connection, external_id: str) -> tuple[str, str]:
    """The path and the secret with which a Repo's webhook is made; an empty secret: there is none.

    What an App calls, and a Repo without a path of its own, are its Connection's.
    """
    secret = connection.secrets[0] if connection.secrets else ""
    path = hook_path(connection.id, "" if connection.app else external_id)
    is_own = path != hook_path(connection.id)
    return path, secret_of(secret, external_id) if is_own and secret else secret


def secret_of(connections: str, external_id: str) -> str:
    """The secret of a Repo's webhook: nobody can tell another's by it, or its Connection's.

    Of a signing token (`whsec_…`) another one is made.
    """
    key = standard_key(connections)
    digest = hmac.new(key, f"webhook of {external_id}".encode(), hashlib.sha256).digest()
    if connections.startswith(STANDARD_SECRET_PREFIX):
        return STANDARD_SECRET_PREFIX + base64.b64encode(digest).decode()
    return digest.hex()


def accepted_at(secrets: Sequence[str], external_id: str) -> list[str]:
    """What may sign under a Repo's URL: its own, and its Connection's, which is an
    administrator's. Empty id: the Connection's URL."""
    own = [secret_of(one, external_id) for one in secrets if external_id and standard_key(one)]
    return [*own, *secrets]
