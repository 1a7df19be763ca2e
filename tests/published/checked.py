"""Checked: fake forges that take only requests which their forge's own document describes."""

from collections.abc import Callable

import httpx2

from pipelines.repo import ForgeKind
from tests.published.api import wrong_at_forgejo, wrong_at_github

Handler = Callable[[httpx2.Request], httpx2.Response]
# What a document says against a request, for the forges of which there is one.
WRONG = {ForgeKind.GITHUB: wrong_at_github, ForgeKind.GITEA: wrong_at_forgejo}


def assert_published(request: httpx2.Request, kind: ForgeKind = ForgeKind.GITHUB) -> None:
    """Fail where the forge describes no such request; says nothing where its document is not
    here."""
    target = request.url.raw_path.decode("ascii")
    wrong = WRONG[kind](request.method, target, request.content)
    assert not wrong, wrong


def transport_of(kind: ForgeKind, forge: Handler) -> httpx2.MockTransport:
    """The way to a fake forge, on which calls are compared with the forge's document, if there is
    one.

    An address that the forge itself sent the client on to is the forge's own choice.
    """
    chosen: set[str] = set()

    def checked(request: httpx2.Request) -> httpx2.Response:
        if kind in WRONG and str(request.url) not in chosen:
            assert_published(request, kind)
        answer = forge(request)
        if further := answer.headers.get("location"):
            chosen.add(str(request.url.join(further)))
        return answer

    return httpx2.MockTransport(checked)
