"""Badges: one word on a branch, for whom its rule says; for all others always the same."""

from xml.etree import ElementTree

import pytest

from ci_host.adapters.sql.tables import RunRow
from pipelines.repo import Repo
from pipelines.run import RunState
from tests.unit.web.test_repo_pages import over
from tests.web.told_runs import running_run
from tests.web.visitor import OURS, check, client_of

pytestmark = pytest.mark.anyio

BADGE = "/badge/me/shop.svg"


async def put(world, who: str = "ada", **wish):
    async with client_of(world, who) as client:
        body = {"repo": "me/shop", **wish}
        return await client.put("/api/v1/badges", json=body, headers=OURS)


async def word(world, path: str) -> str:
    """What the picture says to somebody who is not logged in."""
    answer = await check(world, path, who="")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.headers["cache-control"] == "no-cache"
    drawing = ElementTree.fromstring(answer.text)
    return drawing.attrib["aria-label"]


async def test_nobody_sees_a_badge_that_nobody_gave_out(world):
    await over(world, 1)
    absent = await check(world, "/badge/me/nothing.svg", who="")
    for path in (BADGE, f"{BADGE}?key=", f"{BADGE}?key=x", "/badge/tea/7.svg", "/badge/.svg"):
        answer = await check(world, path, who="")
        assert (answer.status_code, answer.content) == (200, absent.content)
        assert answer.headers["etag"] == absent.headers["etag"]
    told = (await check(world, "/api/v1/badges?repo=me/shop")).json()
    assert (told["public"], told["key"], told["address"]) == (False, None, None)


async def test_a_key_shows_it_to_whoever_has_the_address_until_there_is_another(world):
    await over(world, 1)
    told = (await put(world)).json()
    path = told["address"].removeprefix(world.services.settings.url)
    assert path.startswith(f"{BADGE}?key=") and told["markdown"].startswith("[![Staunch](")
    assert await word(world, path) == "staunch: passing"
    assert await word(world, BADGE) == "staunch: unknown"
    assert await word(world, f"{path}&branch=nothing") == "staunch: unknown"
    again = (await put(world)).json()
    assert again["key"] == told["key"], "it is kept, unless another is asked for"
    other = (await put(world, new_key=True)).json()
    assert other["key"] != told["key"]
    assert await word(world, path) == "staunch: unknown"
    assert (await put(world, with_key=False)).json()["address"] is None


async def test_a_public_one_is_everybodys_and_follows_each_pipelines_newest_verdict(world):
    await put(world, public=True)
    assert await word(world, BADGE) == "staunch: unknown"
    await over(world, 1, RunState.FAILED)
    assert await word(world, BADGE) == "staunch: failing"
    await over(world, 2)
    await over(world, 3, RunState.CANCELLED)
    await running_run(world, 4)
    assert await word(world, BADGE) == "staunch: passing", "neither says anything of the code"
    await over(world, 5, RunState.FAILED, ref="refs/heads/next")
    assert await word(world, f"{BADGE}?branch=next") == "staunch: failing"
    assert await word(world, f"{BADGE}?branch=main&pipeline=pipeline") == "pipeline: passing"
    assert await word(world, f"{BADGE}?pipeline=%3Cb%3E") == "staunch: unknown"


async def test_a_pull_request_says_nothing_of_the_branch_whose_name_it_bears(world):
    await put(world, public=True)
    await over(world, 1)
    story = await over(world, 2, RunState.FAILED)

    def change(rows):
        row = rows.find(RunRow, story.run)
        row.pull_request = 7
        rows.add(row)

    world.fold(story.run, change)
    assert await word(world, BADGE) == "staunch: passing"


async def test_a_picture_that_has_not_changed_is_not_sent_again(world):
    await put(world, public=True)
    tag = (await check(world, BADGE, who="")).headers["etag"]
    again = await check(world, BADGE, who="", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    await over(world, 1)
    again = await check(world, BADGE, who="", headers={"if-none-match": tag})
    assert again.status_code == 200


async def test_only_administrators_give_it_out_and_the_page_has_the_line_for_a_readme(world):
    assert (await put(world, who="grace", public=True)).status_code == 403
    text = (await check(world, "/repos/me/shop")).text
    assert "Nobody sees one" in text and "Show it to everybody" in text
    assert "Show it to everybody" not in (await check(world, "/repos/me/shop", who="grace")).text
    form = {"repo": "tea/7", "act": "public"}
    assert (await check(world, "/badges", who="grace", data=form)).status_code == 403
    answer = await check(world, "/badges", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/repos/tea/7#badge")
    await over(world, 1)
    text = (await check(world, "/repos/me/shop")).text
    assert f"{BADGE}?branch=main)](" in text and f'<img src="{BADGE}?branch=main"' in text
    await check(world, "/badges", data={**form, "act": "off"})
    assert "Nobody sees one" in (await check(world, "/repos/me/shop")).text


async def test_of_two_repositories_of_a_name_each_is_shown_by_its_id_alone(world):
    world.directory.repos["hub/9"] = Repo(
        id="hub/9", connection="hub", external_id="9", name="me/shop", clone_url="/x"
    )
    await over(world, 1)
    async with client_of(world) as client:
        for repo in ("tea/7", "hub/9"):
            wish = {"repo": repo, "public": True}
            told = (await client.put("/api/v1/badges", json=wish, headers=OURS)).json()
            assert f"/badge/{repo}.svg" in told["address"]
    assert await word(world, "/badge/tea/7.svg") == "staunch: passing"
    assert await word(world, BADGE) == "staunch: unknown"
