"""The page of the API: every route, what it takes, and its examples."""

import pytest

from ci_host.web.api_page import grouped
from tests.web.visitor import check

pytestmark = pytest.mark.anyio


async def test_every_route_of_the_description_is_on_the_page(world):
    document = world.app.openapi()
    shown = (await check(world, "/docs/api")).text
    for path, methods in document["paths"].items():
        assert path in shown
        for told in methods.values():
            assert f'id="{told["operationId"]}"' in shown


async def test_a_route_is_told_with_what_it_takes_and_its_examples(world):
    operations = [one for group in grouped(world.app.openapi()).values() for one in group]
    start = next(one for one in operations if (one.method, one.path) == ("POST", "/api/v1/runs"))
    takes = {(one.name, one.place): one for one in start.takes}
    assert takes["commit", "body"].is_required
    assert takes["commit", "body"].form == "string"
    assert not takes["idempotency-key", "header"].is_required
    assert '"commit"' in start.asked
    listed = next(one for one in operations if (one.method, one.path) == ("GET", "/api/v1/runs"))
    assert '"runs": [' in listed.answered
