"""Fetching an image from a registry into an OCI layout: the process that speaks to strangers.

Here: the three questions of the distribution protocol (a manifest, a blob, a token), and what is
believed of the answers: nothing that its digest does not say. The process gives up its rights
first. Whatever it is led to, by a redirect or to a token, must be on the internet and speak TLS,
unless the operator listed it; a name is resolved, judged, and the judged address connected to.
"""

import base64
import json
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import httpcore2

from runners import addresses, layouts
from runners.layouts import BadImage
from runners.registries import Registry

KINDS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    *layouts.INDEXES,
)
TOKEN_BYTES_MAX = 1_048_576
REDIRECTS_MAX = 5
CONNECT_S, READ_S = 10.0, 60.0
AWAY = (429, 500, 502, 503, 504)


class Away(Exception):
    """It cannot be reached, or not now; to be tried again."""


class Guard(httpcore2.NetworkBackend):
    """Connects to the registry that is meant; of all others to what is on the internet."""

    def __init__(self, listed: list[Registry]) -> None:
        self._listed = {(one.host, one.port): one for one in listed}
        self._sockets = httpcore2.SyncBackend()

    def check(self, url: str) -> None:
        """Raises BadImage where it may not be asked at all."""
        scheme, host, port = _place_of(url)
        known = self._listed.get((host, port))
        is_plain = known is not None and known.is_plain
        if scheme != ("http" if is_plain else "https") or not host:
            raise BadImage(f"it leads to {_shown(url)}, which does not speak TLS")

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """As the port says; raises BadImage for an address that is not on the internet."""
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} has no address: {error}") from error
        found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        allowed = [one for one in found if self._may_be(host, port, one)]
        if not allowed:
            raise BadImage(f"it leads to {host} ({', '.join(found)}), which is not on the internet")
        for last, address in enumerate(allowed, 1):
            try:
                return self._sockets.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except httpcore2.ConnectError:
                if last == len(allowed):
                    raise
        raise AssertionError("there is at least one address")

    def _may_be(self, host: str, port: int, text: str) -> bool:
        address = addresses.parse(text)
        if address is None:
            return False
        if (host, port) in self._listed:
            return addresses.is_global(address) or addresses.is_private(address)
        return addresses.is_global(address)


class Client:
    """One repository of one registry."""

    def __init__(self, registry: Registry, repository: str, credentials: str, guard: Guard) -> None:
        """`credentials`: `user:password`, or nothing."""
        self._registry = registry
        self._repository = repository
        self._credentials = credentials
        self._guard = guard
        self._authorization = ""
        # The machine's own certificates, read while that is still allowed.
        context = ssl.create_default_context()
        self._pool = httpcore2.ConnectionPool(ssl_context=context, network_backend=guard)

    def manifest(self, reference: str) -> tuple[str, bytes]:
        """Media type and content. Raises BadImage, Away."""
        url = f"{self._registry.url}/{self._repository}/manifests/{reference}"
        with self._asked(url, {"Accept": ", ".join(KINDS)}) as answer:
            kind = _header(answer, "Content-Type").partition(";")[0].strip()
            return kind, _read(answer, layouts.DOCUMENT_BYTES_MAX, "its manifest")

    @contextmanager
    def blob(self, digest: str) -> Iterator[Iterator[bytes]]:
        """Its bytes, not checked yet. Raises BadImage, Away."""
        url = f"{self._registry.url}/{self._repository}/blobs/{digest}"
        with self._asked(url, {}) as answer, _told(self._registry):
            yield iter(answer.iter_stream())

    @contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[httpcore2.Response]:
        """The answer, once it may be had. Raises BadImage, Away."""
        for _ in range(2):
            with self._followed(url, headers) as answer:
                if answer.status != 401:
                    self._judge(answer)
                    yield answer
                    return
                challenge = _header(answer, "WWW-Authenticate")
            self._authorize(challenge)
        raise BadImage(self._refusal())

    @contextmanager
    def _followed(self, url: str, headers: dict[str, str]) -> Iterator[httpcore2.Response]:
        """The answer at the end of all redirects. Only the registry itself gets the authority."""
        own = _place_of(self._registry.url)
        for _ in range(REDIRECTS_MAX + 1):
            self._guard.check(url)
            is_own = _place_of(url) == own
            more = {"Authorization": self._authorization} if self._authorization and is_own else {}
            with _told(self._registry), self._get(url, {**headers, **more}) as answer:
                if answer.status not in (301, 302, 303, 307, 308):
                    yield answer
                    return
                url = urljoin(url, _header(answer, "Location"))
        raise BadImage(f"it leads through more than {REDIRECTS_MAX} redirects")

    @contextmanager
    def _get(self, url: str, headers: dict[str, str]) -> Iterator[httpcore2.Response]:
        times = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": CONNECT_S}
        own = {"Host": urlsplit(url).netloc, "User-Agent": "staunch", "Accept-Encoding": "identity"}
        how = {"headers": {**own, **headers}, "extensions": {"timeout": times}}
        with self._pool.stream("GET", url, **how) as answer:  # type: ignore[arg-type]
            yield answer

    def _authorize(self, challenge: str) -> None:
        """Have what is asked for. Raises BadImage, Away."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._credentials:
            self._authorization = self._basic()
        elif scheme.lower() == "bearer":
            self._authorization = f"Bearer {self._token(parse_keqv_list(parse_http_list(rest)))}"
        else:
            raise BadImage(self._refusal())

    def _token(self, asked: dict[str, str]) -> str:
        """From where the registry says. It is who vouches for that place, over its own TLS."""
        scope = asked.get("scope") or f"repository:{self._repository}:pull"
        words = {"service": asked.get("service", ""), "scope": scope}
        query = "&".join(f"{name}={quote(value)}" for name, value in words.items() if value)
        realm = asked.get("realm", "")
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        self._guard.check(url)
        headers = {"Authorization": self._basic()} if self._credentials else {}
        with _told(self._registry), self._get(url, headers) as answer:
            if answer.status in (401, 403):
                raise BadImage(self._refusal())
            if answer.status != 200:
                raise Away(f"{_shown(url)} gives no token: {answer.status}")
            content = _read(answer, TOKEN_BYTES_MAX, "a token of it")
        try:
            told = json.loads(content)
            return str(told.get("token") or told["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise BadImage(f"{_shown(url)} gives what is no token") from error

    def _basic(self) -> str:
        return f"Basic {base64.b64encode(self._credentials.encode()).decode()}"

    def _judge(self, answer: httpcore2.Response) -> None:
        if answer.status == 200:
            return
        if answer.status == 404:
            raise BadImage(f"{self._registry.name} has no such image")
        if answer.status == 403:
            raise BadImage(self._refusal())
        said = f"{self._registry.name} answers {answer.status}"
        raise Away(said) if answer.status in AWAY else BadImage(said)

    def _refusal(self) -> str:
        has = "refuses the credentials that it was given" if self._credentials else "wants some"
        return (
            f"{self._registry.name} {has} for {self._repository}; give the runner a file that has"
            " the right ones: --registry-auth"
        )


@contextmanager
def _told(registry: Registry) -> Iterator[None]:
    """Raises Away for all that is the network's."""
    try:
        yield
    except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
        said = str(error) or type(error).__name__
        raise Away(f"{registry.name} cannot be reached: {said}") from error


def _read(answer: httpcore2.Response, size_max: int, what: str) -> bytes:
    content = b""
    for data in answer.iter_stream():
        content += data
        if len(content) > size_max:
            raise BadImage(f"{what} has more than {size_max:,} bytes")
    return content


def _header(answer: httpcore2.Response, name: str) -> str:
    wanted = name.lower().encode()
    return next((v.decode("latin-1") for k, v in answer.headers if k.lower() == wanted), "")


def _place_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises BadImage."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadImage(f"it leads to {url[:200]!r}, which is no address") from error
    return parts.scheme, parts.hostname or "", port


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"[:200]
