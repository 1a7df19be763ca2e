"""App: how a GitHub App proves who it is, and the tokens that it is given for one repository.

Here: the JWT (pure), and the short-lived tokens of its installations, kept in memory until shortly
before they expire. A token opens one repository, and of that only what it is asked for.

Source: GitHub's REST API, "Generating a JSON Web Token for a GitHub App" and "Generating an
installation access token". Since 2026 a token has no fixed length: none is assumed here.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import httpx2
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from pipelines.repo import Connection
from webhooks.forge import Later, Refused
from webhooks.status_api import classify, is_repo_name, request

ALGORITHM = "RS256"
# GitHub's clock may be behind ours, and refuses what lasts for more than ten minutes.
JWT_EARLY_S = 60
JWT_S = 540
KEY_BITS_MIN = 2_048
KEY_CHARS_MAX = 16_384
# Whoever is given a token has so long to use it.
TOKEN_LEFT_S = 300.0
# Of a token whose end cannot be read: GitHub's last an hour.
TOKEN_S_DEFAULT = 1_800.0
TOKENS_KEPT_MAX = 2_000

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_ADVICE = {
    401: "The App's id and its private key do not belong together, or the key was deleted there;"
    " make a new key, and set it with `staunch repo add --app-id … --app-key-file …`.",
    403: "The App is suspended there; let its owner lift that.",
    404: "The App is not installed on this repository, or the repository has another name now;"
    " install it there.",
    422: "The App may not do that in this repository: give it the permission that its guide names,"
    " and let the owner of the repository accept it.",
}


class Purpose(Enum):
    """What a token is for; its value: the permissions that are asked for, and no more."""

    FETCH = (("contents", "read"),)
    CHECKS = (("checks", "write"),)
    COMMENTS = (("pull_requests", "write"), ("metadata", "read"))
    PULLS = (("pull_requests", "read"), ("metadata", "read"))
    # Of no single repository: which of them have changed is asked of all that the App is for.
    CHANGES = (("metadata", "read"),)


def key_problem(pem: str) -> str | None:
    """Why this can be no App's private key, or None. Says nothing of what is in it."""
    if len(pem) > KEY_CHARS_MAX:
        return f"it has more than {KEY_CHARS_MAX:,} characters"
    try:
        key = load_pem_private_key(pem.encode(), None)
    # A TypeError: it has a password.
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        return "it is no RSA private key in PEM, as GitHub offers one for download"
    bits = key.key_size
    return None if bits >= KEY_BITS_MIN else f"it has {bits} bits; GitHub's have {KEY_BITS_MIN:,}"


def app_jwt(app: str, pem: str, now: float) -> str:
    """By which the App itself is known to GitHub. Raises ValueError where the key is none."""
    claims = {"iat": int(now) - JWT_EARLY_S, "exp": int(now) + JWT_S, "iss": app}
    try:
        key = RSAKey.import_key(pem.encode())
        return jwt.encode({"alg": ALGORITHM, "typ": "JWT"}, claims, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise ValueError("the connection's app_key is no RSA private key") from error


@dataclass(frozen=True, slots=True)
class _Granted:
    token: str
    at: float
    expires_at: float


_Place = tuple[str, str, str, str]


class _Installation(msgspec.Struct):
    id: int


class _AccessToken(msgspec.Struct):
    token: str
    expires_at: str = ""


class AppTokens:
    """The tokens of all Apps. For the tasks of one event loop; asked twice at once, it asks twice.

    `now` gives seconds since the epoch.
    """

    def __init__(self, client: httpx2.AsyncClient, now: Callable[[], float]) -> None:
        self._client, self._now = client, now
        self._granted: OrderedDict[tuple[_Place, Purpose], _Granted] = OrderedDict()

    async def token(
        self, connection: Connection, repo_name: str, purpose: Purpose
    ) -> str | Later | Refused:
        """A token that is good for some minutes yet, or why there is none. Never raises."""
        place = _place(connection, repo_name)
        kept = self._granted.get((place, purpose))
        if kept is not None and kept.expires_at - TOKEN_LEFT_S > self._now():
            return kept.token
        if not is_repo_name(repo_name):
            return Refused(f"{repo_name!r} cannot be put into an API URL")
        made = await self._ask(connection, repo_name, purpose)
        if not isinstance(made, _Granted):
            return made
        self._granted[place, purpose] = made
        if len(self._granted) > TOKENS_KEPT_MAX:
            self._granted.popitem(last=False)
        return made.token

    async def asking(self, connection: Connection, repo_name: str) -> Connection | Later | Refused:
        """The Connection with what to ask about people and pull requests with: of an App a token
        for this repository, else its own token. Never raises."""
        if not connection.app:
            return connection
        token = await self.token(connection, repo_name, Purpose.PULLS)
        if not isinstance(token, str):
            return token
        return msgspec.structs.replace(connection, token=token)

    def forget(
        self, connection: Connection, repo_name: str, purpose: Purpose, *, older_s: float = 0.0
    ) -> bool:
        """What was kept is believed no more: the forge has refused it. Whether there was any.

        `older_s`: not if it is so young that another would be refused as well.
        """
        key = (_place(connection, repo_name), purpose)
        kept = self._granted.get(key)
        if kept is None or kept.at + older_s > self._now():
            return False
        del self._granted[key]
        return True

    async def _ask(
        self, connection: Connection, repo_name: str, purpose: Purpose
    ) -> _Granted | Later | Refused:
        try:
            proof = app_jwt(connection.app, connection.app_key, self._now())
        except ValueError as error:
            return Refused(f"{error}; set a new one")
        headers = {**HEADERS, "Authorization": f"Bearer {proof}"}
        found = await self._found(connection, repo_name, headers)
        if not isinstance(found, _Installation):
            return found
        url = f"{_api(connection)}/app/installations/{found.id}/access_tokens"
        body: dict[str, object] = {"permissions": dict(purpose.value)}
        if purpose is not Purpose.CHANGES:
            body["repositories"] = [repo_name.partition("/")[2]]
        answer = await self._call("POST", url, headers, body)
        if not isinstance(answer, httpx2.Response):
            return answer
        try:
            made = msgspec.json.decode(answer.content, type=_AccessToken)
        except (msgspec.MsgspecError, ValueError):
            return Later("the forge's answer has no installation token")
        now = self._now()
        return _Granted(made.token, now, _time_of(made.expires_at, now + TOKEN_S_DEFAULT))

    async def _found(
        self, connection: Connection, repo_name: str, headers: Mapping[str, str]
    ) -> _Installation | Later | Refused:
        """Asked anew for every token: an App that is installed again has another number."""
        url = f"{_api(connection)}/repos/{repo_name}/installation"
        answer = await self._call("GET", url, headers, None)
        if not isinstance(answer, httpx2.Response):
            return answer
        try:
            return msgspec.json.decode(answer.content, type=_Installation)
        except (msgspec.MsgspecError, ValueError):
            return Later("the forge's answer names no installation of the App")

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, object] | None
    ) -> httpx2.Response | Later | Refused:
        answer = await request(self._client, url, headers, body, method)
        if not isinstance(answer, httpx2.Response) or answer.is_success:
            return answer
        told = classify(answer, self._now(), _ADVICE)
        assert isinstance(told, Later | Refused), "what is no success is one of these"
        return told


def _place(connection: Connection, repo_name: str) -> _Place:
    return connection.id, _api(connection), connection.app, repo_name


def _api(connection: Connection) -> str:
    return connection.api_url.rstrip("/")


def _time_of(text: str, otherwise: float) -> float:
    """The seconds of `2026-11-26T15:00:00Z`."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return otherwise
