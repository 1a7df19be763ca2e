"""CheckSuites: whose the checks of a suite are, asked of a strict GitHub."""

from collections.abc import Callable

import httpx2
import pytest

from ci_host.bootstrap.check_suites import AppSuites
from ci_host.engine.forge_reruns import CheckSuites
from ci_host.ports import SourceRefused, SourceUnavailable
from pipelines.repo import Connection, ForgeKind, Repo
from tests.contract.test_checks import COMMIT, HUB, RUN, Hub, status
from webhooks.github.app import AppTokens
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

REPO = Repo(id="hub/1", connection="hub", external_id="1", name="waterways/lock", clone_url="u")
OTHER = "2-0123456789abcdef0123"


def suites(hub: Hub, *connections: Connection) -> CheckSuites:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(hub.github))
    now: Callable[[], float] = lambda: hub.now  # noqa: E731 a clock
    known = MemoryConnections(*(connections or (HUB,)))
    return AppSuites(client, AppTokens(client, now), known, now)


async def test_the_newest_check_of_each_name_says_whose_it_is() -> None:
    hub = Hub()
    gate = "staunch/pipeline/go"
    await hub.told(status(), status(context=gate), status(run=OTHER))
    foreign = {"id": 1, "name": "x", "head_sha": COMMIT, "external_id": "9-9", "app": {"id": 1}}
    hub.github.others = [foreign]
    assert sorted(await suites(hub).runs(REPO, "5")) == [RUN, OTHER]


async def test_more_checks_than_a_page_holds_are_all_listed() -> None:
    hub = Hub()
    await hub.told(*[status(context=f"c{n}") for n in range(101)])
    assert await suites(hub).runs(REPO, "5") == [RUN] * 101


async def test_what_passes_is_unavailable_and_what_does_not_is_refused() -> None:
    hub = Hub()
    hub.github.answers = [httpx2.Response(502)]
    with pytest.raises(SourceUnavailable, match="502"):
        await suites(hub).runs(REPO, "5")
    hub.github.answers = [None, None, httpx2.Response(200, content=b"{}")]
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        await suites(hub).runs(REPO, "5")
    del hub.github.installed[REPO.name]
    with pytest.raises(SourceRefused, match="is not installed"):
        await suites(hub).runs(REPO, "5")


@pytest.mark.parametrize("suite", ["", "5/..", "5?x=1"])
async def test_what_is_no_suite_or_no_app_is_refused_without_a_request(suite: str) -> None:
    hub = Hub()
    with pytest.raises(SourceRefused):
        await suites(hub).runs(REPO, suite)
    token = Connection(id="hub", kind=ForgeKind.GITHUB, api_url="https://h", token="t")
    with pytest.raises(SourceRefused):
        await suites(hub, token).runs(REPO, "5")
    assert hub.github.calls == []
