"""OAuth: how somebody logs in at a forge: OAuth 2's code flow with state and PKCE (RFC 6749, 7636).

Where each forge has its pages, what its token endpoint answers, and who it says that somebody is.
The access token is used for that one question, and returned to nobody.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import httpx2
import msgspec

from pipelines.repo import Connection, ForgeKind
from webhooks.forge import Account, Later, Refused
from webhooks.rest import ForgeApi

LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class LoginPlace:
    """Where a forge has what a login needs. `scope`: the least that says who somebody is."""

    authorize: str
    token: str
    api: str
    scope: str


def login_place(connection: Connection) -> LoginPlace | None:
    """Of this Connection; None: nobody can log in with it.

    GitHub: "Authorizing OAuth apps". GitLab: "OAuth 2.0 identity provider API". Gitea: "OAuth2
    Provider".
    """
    if not (connection.oauth_client_id and connection.oauth_client_secret and connection.api_url):
        return None
    url = connection.api_url.rstrip("/")
    match connection.kind:
        case ForgeKind.GITHUB:
            is_public = urlsplit(url).hostname == "api.github.com"
            home = "https://github.com" if is_public else url.removesuffix("/api/v3")
            pages = f"{home}/login/oauth"
            return LoginPlace(f"{pages}/authorize", f"{pages}/access_token", url, "")
        case ForgeKind.GITEA:
            home = url.removesuffix("/api/v1")
            pages = f"{home}/login/oauth"
            where = (f"{pages}/authorize", f"{pages}/access_token", f"{home}/api/v1")
            return LoginPlace(*where, "read:user")
        case ForgeKind.GITLAB:
            home = url.removesuffix("/api/v4")
            where = (f"{home}/oauth/authorize", f"{home}/oauth/token", f"{home}/api/v4")
            return LoginPlace(*where, "read_user")
        case _:
            return None


def challenge_of(verifier: str) -> str:
    """The code challenge of a verifier (S256)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorize_url(
    place: LoginPlace, connection: Connection, *, redirect_uri: str, state: str, verifier: str
) -> str:
    """Where a browser is sent to log in."""
    asked = {
        "client_id": connection.oauth_client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        **({"scope": place.scope} if place.scope else {}),
    }
    return f"{place.authorize}?{urlencode(asked)}"


class _Granted(msgspec.Struct):
    access_token: str = ""
    error: str = ""
    error_description: str = ""


class _User(msgspec.Struct):
    id: int
    login: str = ""
    username: str = ""


async def account_of(
    client: httpx2.AsyncClient,
    connection: Connection,
    place: LoginPlace,
    now: float,
    *,
    code: str,
    verifier: str,
    redirect_uri: str,
) -> Account | Later | Refused:
    """Whose code it is. Never raises for what network or forge do."""
    home, _, path = place.token.partition("://")[2].partition("/")
    scheme = place.token.partition("://")[0]
    tokens = ForgeApi(f"{scheme}://{home}", {"Accept": "application/json"}, client, now)
    body = {
        "client_id": connection.oauth_client_id,
        "client_secret": connection.oauth_client_secret,
        "code": code,
        "code_verifier": verifier,
        "grant_type": "authorization_code",
        "redirect_uri": redirect_uri,
    }
    granted = await tokens.send("POST", f"/{path}", body, _Granted)
    if not isinstance(granted, _Granted):
        return granted
    # GitHub tells of an error with 200.
    if granted.error or not granted.access_token:
        said = granted.error_description or granted.error or "no token"
        return Refused(f"the forge does not take the code: {said[:200]}")
    headers = {"Accept": "application/json", "Authorization": f"Bearer {granted.access_token}"}
    user = await ForgeApi(place.api, headers, client, now).get("/user", _User)
    if not isinstance(user, _User):
        return user
    login = user.login or user.username
    if user.id < 1 or LOGIN.match(login) is None:
        return Refused(f"the forge says that this is {login[:100]!r}, which is no login")
    return Account(id=str(user.id), login=login)
