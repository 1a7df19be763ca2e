"""Who may see a badge is kept by the bus, and every host knows it without asking."""

from pathlib import Path

import pytest

from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.badge import BadgeRule, shows
from tests.servers import bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

RULE = BadgeRule(repo="git//srv/a repo", key="k1", by="ada", at=1.5)


async def test_a_rule_outlives_a_server_that_was_killed_and_the_newest_counts(tmp_path: Path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            for rule in (BadgeRule(repo=RULE.repo, is_public=True), RULE):
                await NatsCatalog(bus).put_badge_rule(rule)
            server.kill()
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            directory = Directory(bus)
            await directory.start()
            await directory.stop()
            assert directory.badges == {RULE.repo: RULE}


@pytest.mark.parametrize(
    ("rule", "key", "is_shown"),
    [
        (None, "", False),
        (BadgeRule(repo="r"), "", False),
        (RULE, "", False),
        (RULE, "k2", False),
        (RULE, "\udce4k1", False),
        (RULE, "k1", True),
        (BadgeRule(repo="r", is_public=True), "whatever", True),
    ],
    ids=["none", "neither", "no-key", "another", "no-text", "its-key", "public"],
)
async def test_a_badge_is_shown_by_its_rule_alone(rule, key: str, is_shown: bool):
    assert shows(rule, key) is is_shown
