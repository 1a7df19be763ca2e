"""The pages of secrets, of the audit log and of settings, and the menu that leads to them."""

import msgspec
import pytest

from ci_host.access import Level, Token, digest_of_secret
from ci_host.api.about import ADDRESSES, NOT_SHOWN, SHOWN, bare, settings_shown
from ci_host.api.audit import LOOKED_AT_MAX
from ci_host.audit import Deed
from ci_host.line_ports import EnvironmentRule, JobLimit
from ci_host.ref_ports import NotCompared
from ci_host.settings import Settings
from pipelines.repo import Connection, ForgeKind
from pipelines.secret import NamedScope, Scope
from tests.web.visitor import OURS, check, client_of
from tests.web.world import NOW, World

pytestmark = pytest.mark.anyio

VALUE = "correct horse battery"


async def ask(world: World, path: str, **token: object):
    """As somebody with a token of this kind."""
    digest = digest_of_secret("stn_nina")
    world.directory.tokens[digest] = Token(digest=digest, name="nina", **token)
    return await check(world, path, who="", headers={"authorization": "Bearer stn_nina"})


async def test_secrets_are_listed_by_name_and_never_with_a_value(world):
    named = NamedScope(name="DEPLOY_KEY", scope=Scope(repo="tea/7", environment="production"))
    other = NamedScope(name="NPM_TOKEN", scope=Scope(org="tea/me"))
    await world.services.secrets.put(named, VALUE, "ada")
    await world.services.secrets.put(named, VALUE * 2, "grace")
    await world.services.secrets.put(other, VALUE, "ada")
    rule = EnvironmentRule(repo="tea/7", environment="production", refs=["main"], by="ada", at=NOW)
    world.catalog.environments = [rule]
    text = (await check(world, "/secrets")).text
    assert "DEPLOY_KEY" in text and "number 2" in text and "all of tea/me" in text
    assert "<code>main</code>" in text and "staunch secret set DEPLOY_KEY" in text
    assert VALUE not in text
    narrow = (await ask(world, "/secrets", repos=["tea/8"])).text
    assert "production</code></td>" not in narrow and "NPM_TOKEN" not in narrow
    assert "number 2" not in narrow, "the name alone is in the example, too"
    narrow = (await ask(world, "/secrets", repos=["tea/7"])).text
    assert "number 2" in narrow and "NPM_TOKEN" not in narrow


async def recorded(world: World, *deeds: tuple[str, str, dict[str, str]]) -> None:
    for by, act, on in deeds:
        deed = Deed(at=world.clock(), by=by, token="t1", act=act, on=on, address="::1", status=200)
        await world.services.audit.record(deed)


async def acts(world: World, query: str) -> list[str]:
    found = (await check(world, f"/api/v1/audit?{query}")).json()["acts"]
    page = (await check(world, f"/audit?{query}")).text
    assert all(f"<code>{one['act']}</code>" in page for one in found)
    return [one["act"] for one in found]


async def test_what_people_did_is_filtered_alike_on_the_page_and_in_the_api(world):
    await recorded(
        world,
        ("ada", "PUT /api/v1/secrets", {"name": "KEY", "repo": "me/shop"}),
        ("grace", "POST /runs/{run}/cancel", {"run": "1-00000000000000000001"}),
        ("Ada L", "POST /runs/{run}/pause", {"reason": "<b>"}),
    )
    newest = ["POST /runs/{run}/pause", "POST /runs/{run}/cancel", "PUT /api/v1/secrets"]
    assert await acts(world, "") == newest
    assert await acts(world, "by=ADA") == newest[2:]
    assert await acts(world, "act=cancel") == newest[1:2]
    assert await acts(world, "about=me/SHOP") == newest[2:]
    assert await acts(world, "about=1-0000&by=grace") == newest[1:2]
    assert await acts(world, "by=nobody") == []
    text = (await check(world, "/audit")).text
    assert 'href="/runs/1-00000000000000000001"' in text and "&lt;b&gt;" in text
    assert (await check(world, "/audit", who="grace")).status_code == 403


async def test_pages_of_the_audit_log_miss_none_and_repeat_none(world):
    many = [("bot" if n % 7 else "ada", f"PUT /{n}", {}) for n in range(60)]
    await recorded(world, *many)
    for query, wanted in (("", many), ("by=ada&", [one for one in many if one[0] == "ada"])):
        seen, before = [], ""
        while True:
            page = (await check(world, f"/api/v1/audit?{query}limit=4{before}")).json()
            seen += [one["act"] for one in page["acts"]]
            assert len(page["acts"]) <= 4
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
        assert seen == [act for _, act, _ in reversed(wanted)]


async def test_a_filter_that_fits_nothing_gives_up_for_a_while_and_says_where_it_was(world):
    await recorded(world, *[("bot", "PUT /x", {})] * (LOOKED_AT_MAX + 10))
    page = (await check(world, "/api/v1/audit?by=ada")).json()
    assert page["acts"] == [] and 1 < page["next"] <= 11
    text = (await check(world, "/audit?by=ada")).text
    assert "Older ones may be like this" in text and 'rel="next"' in text
    rest = (await check(world, f"/api/v1/audit?by=ada&before={page['next']}")).json()
    assert rest == {"acts": [], "next": None}


async def test_settings_say_versions_connections_and_limits_and_no_secret(world):
    world.directory.connections["hub"] = Connection(
        id="hub", kind=ForgeKind.GITHUB, api_url="https://me:hunter2@api.test/v3?x=hunter2",
        token="ghp_hunter2", secrets=["hunter2"], oauth_client_id="i",
        oauth_client_secret="hunter2",
    )  # fmt: skip
    await world.services.sights.tell(
        NotCompared(connection="tea", reason="it answers 502", since=1)
    )
    world.catalog.job_limits = [JobLimit(pool="default", at_once=4), JobLimit(pool="old")]
    text = (await check(world, "/settings")).text
    for shown in ("2.15.1", "https://api.test/v3", "it answers 502", "4 at once", "embedded"):
        assert shown in text, shown
    told = await check(world, "/api/v1/installation")
    assert "hunter2" not in text + told.text and "ghp_" not in text + told.text
    found = told.json()
    assert [one["trouble"] for one in found["connections"]] == [None, "it answers 502"]
    assert found["limits"] == [{"pool": "default", "repo": "", "at_once": 4}]
    for path in ("/settings", "/api/v1/installation"):
        assert (await check(world, path, who="grace")).status_code == 403
        assert (await ask(world, path, repos=["tea/7"], scope=Level.ADMIN)).status_code == 403


async def test_addresses_among_the_settings_let_nobody_in(tmp_path):
    settings = Settings(
        data=tmp_path, cache=tmp_path, blobs="s3://key:hunter2@bucket/a?secret=hunter2",
        nats_url="nats://u:hunter2@one:4222,tls://hunter2@[::1]:4223", base_url="https://ci.test/",
    )  # fmt: skip
    shown = settings_shown(settings)
    assert shown["nats"] == "nats://one:4222, tls://[::1]:4223"
    assert (shown["blobs"], shown["url"]) == ("s3://bucket/a", "https://ci.test")
    assert b"hunter2" not in msgspec.json.encode(shown)
    assert {*SHOWN, *ADDRESSES, *NOT_SHOWN} == set(Settings.__struct_fields__), (
        "one was not thought of"
    )
    assert set(shown) == {*SHOWN, *ADDRESSES.values()}
    assert "hunter2" not in bare("http://hunter2@[x") + bare("hunter2")


async def test_the_menu_has_what_whoever_looks_may_open(world):
    for who, there in (("ada", True), ("grace", False)):
        text = (await check(world, "/inbox", who=who)).text
        assert ('href="/audit"' in text) is there and ('href="/settings"' in text) is there
        assert 'href="/secrets"' in text and 'href="/runners"' in text
    narrow = (await ask(world, "/inbox", repos=["tea/7"])).text
    assert 'href="/runners"' not in narrow and 'href="/repos"' in narrow
    assert 'href="/trust" aria-current="page"' in (await check(world, "/trust")).text
    async with client_of(world) as client:
        assert (await client.get("/runners", headers=OURS)).status_code == 200
