"""Bitbucket Cloud's REST API: where a repository is in it, and how we say who we are."""

import base64
import re
from urllib.parse import quote

import httpx2

from pipelines.repo import Connection
from webhooks.bitbucket.parse import repository_uuid
from webhooks.errors import Malformed
from webhooks.forge import Refused
from webhooks.rest import ForgeApi

_NAME = re.compile(r"([\w.-]*[\w-][\w.-]*)/[^/]+\Z", re.ASCII)


def bitbucket_api(connection: Connection, client: httpx2.AsyncClient, now: float) -> ForgeApi:
    """The API; `api_url` is https://api.bitbucket.org, with or without `/2.0`."""
    return ForgeApi(base_url(connection), headers(connection), client, now)


def base_url(connection: Connection) -> str:
    """Where the API is, without a slash at its end."""
    return f"{connection.api_url.rstrip('/').removesuffix('/2.0')}/2.0"


def headers(connection: Connection) -> dict[str, str]:
    """Those of each request."""
    return {"Accept": "application/json", "Authorization": authorization(connection.token)}


def authorization(token: str) -> str:
    """The header for a token: `<user or e-mail>:<API token>` is Basic, an access token Bearer."""
    if ":" in token:
        return f"Basic {base64.b64encode(token.encode()).decode()}"
    return f"Bearer {token}"


def repository_part(name: str, external_id: str) -> tuple[str, str] | Refused:
    """Workspace and quoted UUID, as paths of the API have them: a UUID gets no new owner."""
    found = _NAME.match(name)
    try:
        repository = quote(f"{{{repository_uuid(external_id)}}}")
    except Malformed as error:
        return Refused(f"{error}; register the repository with its UUID")
    if found is None:
        return Refused(
            f"{name!r} cannot be put into an API URL; register the repository under its name"
            " <workspace>/<repository>"
        )
    return found[1], repository
