"""Setup: which adapter has which kind of forge call us, and where a repository's URL leads."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import httpx2

from pipelines.repo import Connection, ForgeKind
from webhooks.bitbucket.setup import BitbucketSetup
from webhooks.bitbucket_dc.setup import BitbucketDcSetup
from webhooks.forge import ForgeSetup
from webhooks.gitea.setup import GiteaSetup
from webhooks.github.setup import GitHubSetup
from webhooks.gitlab.setup import GitLabSetup

API_OF_CLOUD = "api.bitbucket.org"

_ON_SERVER = re.compile(
    r"(?P<context>(?:/[\w.-]+)*?)/(?:"
    r"(?:projects/(?P<key>~?[\w.-]+)|users/(?P<user>[\w.-]+))/repos/(?P<repo>[\w.-]+)(?:/browse)?"
    r"|scm/(?P<cloned>~?[\w.-]+)/(?P<slug>[\w.-]+?)(?:\.git)?)/?\Z",
    re.ASCII,
)


class NoPlace(Exception):
    """What was given is no address of a repository; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Place:
    """A repository by its address: its API, and its name there."""

    api_url: str
    name: str


def place_of(kind: ForgeKind, url: str) -> Place:
    """Where the API of a repository's address is, and what it is called there. Raises NoPlace."""
    parts = urlsplit(url)
    name = unquote(parts.path).strip("/").removesuffix(".git")
    shown = url[:200]
    if parts.scheme not in ("https", "http") or not parts.hostname or "/" not in name:
        raise NoPlace(
            f"{shown!r} is no address of a repository; one looks like https://github.com/acme/shop"
        )
    if parts.username or parts.query or parts.fragment or not name.isprintable():
        raise NoPlace(f"{shown!r}: give the plain address, and the token with --forge-token")
    home = f"{parts.scheme}://{parts.netloc}"
    if kind is ForgeKind.BITBUCKET_DC:
        return _place_on_server(home, parts.path, shown)
    if kind is ForgeKind.BITBUCKET and parts.hostname.lower() in ("bitbucket.org", API_OF_CLOUD):
        home = f"https://{API_OF_CLOUD}"
    if kind is ForgeKind.GITHUB:
        is_public = parts.hostname.lower() in ("github.com", "www.github.com")
        home = "https://api.github.com" if is_public else f"{home}/api/v3"
    return Place(home, name)


def _place_on_server(home: str, path: str, shown: str) -> Place:
    """Of Bitbucket Data Center: its pages and what git clones from have addresses of their own."""
    found = _ON_SERVER.match(unquote(path))
    if found is None:
        raise NoPlace(
            f"{shown!r} is no address of a repository; one looks like"
            " https://bitbucket.example.org/projects/ACME/repos/shop"
        )
    owner = f"~{found['user']}" if found["user"] else found["key"] or found["cloned"]
    return Place(f"{home}{found['context']}", f"{owner}/{found['repo'] or found['slug']}")


def setup_of(connection: Connection, client: httpx2.AsyncClient, now: float) -> ForgeSetup | None:
    """The adapter; None: for this kind of forge a webhook is added by hand."""
    match connection.kind:
        case ForgeKind.GITHUB:
            return GitHubSetup(connection, client, now)
        case ForgeKind.GITEA:
            return GiteaSetup(connection, client, now)
        case ForgeKind.GITLAB:
            return GitLabSetup(connection, client, now)
        case ForgeKind.BITBUCKET:
            return BitbucketSetup(connection, client, now)
        case ForgeKind.BITBUCKET_DC:
            return BitbucketDcSetup(connection, client, now)
        case ForgeKind.GIT:
            return None
