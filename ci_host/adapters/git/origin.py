"""Origin: where a repository may be fetched from, and how. The guard against forged clone URLs.

A URL must be https, name the very host of its Connection, and that host must resolve to public
addresses, unless the operator has said that it is private. A path must be an existing bare
repository under a folder that the operator has registered.
"""

import base64
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ci_host.adapters.git.errors import FetchFailed, OriginRefused, RepoGone
from pipelines.repo import Connection, ForgeKind, Repo

# The network in which every IPv4 address has an IPv6 one, private addresses included.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# Where the API is not on the host that repositories are cloned from.
_CLONE_HOSTS = {"api.github.com": "github.com", "api.bitbucket.org": "bitbucket.org"}

# Git's setting of a header, for a host.
_HEADER = ".extraHeader"

Resolve = Callable[[str, int], Sequence[str]]
# What a repository is read with; empty: nothing. Raises FetchFailed and RepoGone.
TokenOf = Callable[[Connection, Repo], str]


def own_token(connection: Connection, _repo: Repo) -> str:
    """The token that the Connection was given."""
    return connection.token


@dataclass(frozen=True, slots=True)
class Registered:
    """What the operator has registered; nothing else may be fetched from.

    `paths`: repositories, or folders of them. `private_hosts`: hosts whose addresses need not be
    public. `clone_hosts`: by connection id, where it is not the host of its `api_url`. `token_of`
    may ask the forge for a token, and wait for its answer.
    """

    connections: Mapping[str, Connection] = field(default_factory=dict)
    paths: frozenset[Path] = frozenset()
    private_hosts: frozenset[str] = frozenset()
    clone_hosts: Mapping[str, str] = field(default_factory=dict)
    token_of: TokenOf = own_token

    def clone_host(self, connection: str) -> str:
        """The `host[:port]` that the Connection's repositories are cloned from; empty: none."""
        if host := self.clone_hosts.get(connection):
            return host.lower()
        known = self.connections.get(connection)
        host = urlsplit(known.api_url).netloc.lower() if known else ""
        return _CLONE_HOSTS.get(host, host)

    def has_path(self, path: Path) -> bool:
        """Whether a resolved path is a registered one, or under one."""
        # The quick answer first: there may be very many.
        return path in self.paths or any(
            path.is_relative_to(folder.resolve()) for folder in self.paths
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A ref of a repository that is another than the one that was registered: a fork. It is on the
    same Connection, and so on the same host; who says where is the Forge's API, never a payload."""

    repo: Repo
    ref: str


@dataclass(frozen=True, slots=True)
class Origin:
    """A checked place: what git is given, the one protocol it may use, and its configuration."""

    url: str
    protocol: str
    config: Mapping[str, str]


def without_token(origin: Origin) -> Origin:
    """As anybody may read it, if that is public."""
    kept = {name: value for name, value in origin.config.items() if not name.endswith(_HEADER)}
    return Origin(origin.url, origin.protocol, kept)


def resolve_host(host: str, port: int) -> Sequence[str]:
    """The host's addresses. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


def origin_of(repo: Repo, registered: Registered, resolve: Resolve = resolve_host) -> Origin:
    """The repository's place, checked. Raises OriginRefused, RepoGone or FetchFailed."""
    if repo.clone_url.startswith("/"):
        return _local(repo, registered)
    return _remote(repo, registered, resolve)


def _local(repo: Repo, registered: Registered) -> Origin:
    try:
        path = Path(repo.clone_url).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise RepoGone(f"{repo.name}: there is no repository at {repo.clone_url}") from None
    if not registered.has_path(path):
        raise OriginRefused(
            f"{repo.name}: {path} is not registered on this host. Register the repository or the"
            " folder it lies in, as the operator."
        )
    if not ((path / "HEAD").is_file() and (path / "objects").is_dir()):
        raise RepoGone(f"{repo.name}: {path} is no bare repository; give the path of one")
    return Origin(str(path), "file", {})


def _remote(repo: Repo, registered: Registered, resolve: Resolve) -> Origin:
    url = _parsed(repo)
    wanted = registered.clone_host(repo.connection)
    if url.netloc.lower() != wanted:
        where = wanted or "no host at all"
        raise OriginRefused(
            f"{repo.name}: its clone URL names {url.netloc!r}, but connection {repo.connection!r}"
            f" is registered for {where}. Correct one of the two."
        )
    host, port = url.hostname or "", url.port or 443
    config: dict[str, str] = {}
    if url.netloc.lower() not in registered.private_hosts and host not in registered.private_hosts:
        addresses = _public_addresses(repo, host, port, resolve)
        # Connect to what was checked, whatever the name resolves to a moment later.
        config["http.curloptResolve"] = f"{host}:{port}:{','.join(addresses)}"
    connection = registered.connections.get(repo.connection)
    token = "" if connection is None else registered.token_of(connection, repo)
    if connection is not None and token:
        config[f"http.https://{url.netloc}/{_HEADER}"] = (
            f"Authorization: {_authorization(connection, token)}"
        )
    return Origin(url.geturl(), "https", config)


def _authorization(connection: Connection, token: str) -> str:
    """What each forge's git takes with a token. The user's name is one that stands for tokens."""
    user, password = "x-access-token", token
    if connection.kind is ForgeKind.BITBUCKET_DC:
        return f"Bearer {token}"
    if connection.kind is ForgeKind.BITBUCKET:
        user = "x-token-auth"
        if ":" in token:
            user, _, password = token.partition(":")
        # The API knows the owner of an API token by the e-mail address, git does not.
        if "@" in user:
            user = "x-bitbucket-api-token-auth"
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Basic {pair}"


def _parsed(repo: Repo) -> SplitResult:
    try:
        url = urlsplit(repo.clone_url)
        usable = url.scheme == "https" and url.hostname and (url.port or 443)
    except ValueError:
        usable = None
    if not usable or not repo.clone_url.isascii() or not repo.clone_url.isprintable():
        raise OriginRefused(
            f"{repo.name}: {repo.clone_url[:200]!r} cannot be a clone URL. It must be https://…, or"
            " the absolute path of a bare repository on this machine."
        )
    if "@" in url.netloc or url.query or url.fragment or " " in url.path:
        raise OriginRefused(
            f"{repo.name}: the clone URL must be a plain https://host/path. Credentials belong in"
            " the connection's token."
        )
    return url


def _public_addresses(repo: Repo, host: str, port: int, resolve: Resolve) -> list[str]:
    try:
        addresses = [ipaddress.ip_address(text) for text in resolve(host, port)]
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"{repo.name}: {host} cannot be resolved: {error}") from error
    for address in addresses:
        if not _is_public(address):
            raise OriginRefused(
                f"{repo.name}: {host} resolves to {address}, which is not a public address. If this"
                " forge is on your own network, register the host as a private one."
            )
    if not addresses:
        raise FetchFailed(f"{repo.name}: {host} resolves to no address")
    return [f"[{one}]" if one.version == 6 else str(one) for one in addresses]


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast
