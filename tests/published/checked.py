"""Checked: fake forges that take only requests which their forge's own document describes."""

from collections.abc import Callable

import httpx2

from pipelines.repo import ForgeKind
from tests.published.api import wrong_at_github

Handler = Callable[[httpx2.Request], httpx2.Response]


def assert_published(request: httpx2.Request) -> None:
    """Fail where GitHub describes no such request; says nothing where its document is not here."""
    target = request.url.raw_path.decode("ascii")
    wrong = wrong_at_github(request.method, target, request.content)
    assert not wrong, wrong


def transport_of(kind: ForgeKind, forge: Handler) -> httpx2.MockTransport:
    """The way to a fake forge, on which GitHub's calls are compared with its document.

    An address that the forge itself sent the client on to is the forge's own choice.
    """
    chosen: set[str] = set()

    def checked(request: httpx2.Request) -> httpx2.Response:
        if kind is ForgeKind.GITHUB and str(request.url) not in chosen:
            assert_published(request)
        answer = forge(request)
        if further := answer.headers.get("location"):
            chosen.add(str(request.url.join(further)))
        return answer

    return httpx2.MockTransport(checked)
