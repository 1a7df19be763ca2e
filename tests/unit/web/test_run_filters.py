"""The list of runs: what it is filtered by, on the page, in the API, and under a name."""

from itertools import count

import pytest

from ci_host.access import Token, digest_of_secret
from ci_host.api.problems import Problem
from ci_host.api.run_filters import DAY_S, moment
from ci_host.view_ports import VIEWS_MAX
from pipelines.event import EventKind
from pipelines.run import RunState
from tests.unit.web.test_repo_pages import over
from tests.web.visitor import OURS, check, client_of
from tests.web.world import NOW

pytestmark = pytest.mark.anyio

MIDNIGHT = 1_795_737_600.0  # 2026-11-27T00:00:00Z


async def furnished(world) -> dict[str, str]:
    """Four runs, by what tells each from the others."""
    runs = {
        "ada": await over(world, 1, sender="ada"),
        "side": await over(world, 2, sender="bot", ref="refs/heads/side"),
        "cron": await over(world, 3, sender="", kind=EventKind.SCHEDULE),
        "broke": await over(world, 4, RunState.FAILED, sender="bot", commit="f" * 40),
    }
    return {run.run: name for name, run in runs.items()}


async def names(world, known, query: str) -> list[str]:
    found = (await check(world, f"/api/v1/runs?{query}")).json()["runs"]
    page = (await check(world, f"/?{query}")).text
    shown = [run["id"] for run in found]
    assert [run for run in known if f'href="/runs/{run}"' in page] == [
        run for run in known if run in shown
    ], "the page and the API list the same"
    return [known[run] for run in shown]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["broke", "cron", "side", "ada"]),
        ("sender=bot", ["broke", "side"]),
        ("sender=bot&state=failed", ["broke"]),
        ("event=schedule", ["cron"]),
        ("ref=side", ["side"]),
        ("ref=refs/heads/side", ["side"]),
        ("commit=ffff", ["broke"]),
        ("commit=%25", []),
        ("repo=me/shop&sender=ada", ["ada"]),
        ("repo=me/other", []),
        ("since=2m", ["broke", "cron"]),
        ("until=2m", ["side", "ada"]),
        (f"since={NOW + 60}&until={NOW + 180}", ["cron", "side"]),
        ("since=2027-01-15&until=2027-01-15", ["broke", "cron", "side", "ada"]),
        ("until=2027-01-14", []),
    ],
)
async def test_runs_are_filtered_alike_on_the_page_and_in_the_api(world, query, found):
    known = await furnished(world)
    assert await names(world, known, query) == found


async def test_a_time_that_is_none_is_refused_with_what_to_write(world):
    for wrong in ("yesterday", "2026-13-01", "nan", "-1", "٣d", "1e3", "2026-11-27T"):
        answer = await check(world, "/api/v1/runs", params={"since": wrong})
        assert (answer.status_code, answer.json()["title"]) == (422, "No such time"), wrong
        page = await check(world, "/", params={"until": wrong})
        assert page.status_code == 422 and "how long ago (7d" in page.text


@pytest.mark.parametrize(
    ("text", "is_end", "at"),
    [
        ("2026-11-27", False, MIDNIGHT),
        ("2026-11-27", True, MIDNIGHT + DAY_S),
        ("2026-11-27T01:00:00+01:00", True, MIDNIGHT),
        ("2026-11-27T00:00", False, MIDNIGHT),
        ("1795737600.5", False, MIDNIGHT + 0.5),
        ("90m", False, NOW - 5_400),
        ("2w", True, NOW - 14 * DAY_S),
    ],
)
async def test_a_time_is_a_day_a_moment_or_how_long_ago(text, is_end, at):
    assert moment(text, NOW, is_end=is_end) == at
    with pytest.raises(Problem):
        moment(f"{text}?", NOW)


async def put(world, name: str, who: str = "ada", **filters):
    async with client_of(world, who) as client:
        body = {"name": name, "filters": filters}
        return await client.put("/api/v1/views", json=body, headers=OURS)


async def test_a_view_is_its_makers_and_lists_what_it_looks_for(world):
    known = await furnished(world)
    made = (await put(world, "Bots", sender="bot", since=" ", state="")).json()
    assert made["filters"] == {"sender": "bot"} and made["url"].endswith("/?sender=bot")
    await put(world, "broken", state="failed")
    found = (await check(world, "/api/v1/views")).json()["views"]
    assert [one["name"] for one in found] == ["Bots", "broken"]
    runs = (await check(world, "/api/v1/runs?view=Bots")).json()["runs"]
    assert [known[run["id"]] for run in runs] == ["broke", "side"]
    runs = (await check(world, "/api/v1/runs?view=Bots&ref=side")).json()["runs"]
    assert [known[run["id"]] for run in runs] == ["side"]
    assert (await check(world, "/api/v1/views", who="grace")).json() == {"views": []}
    answer = await check(world, "/api/v1/runs?view=Bots", who="grace")
    assert (answer.status_code, answer.json()["title"]) == (404, "No such view")


async def test_views_are_saved_opened_and_deleted_on_the_page(world):
    await furnished(world)
    page = (await check(world, "/?sender=bot&state=failed")).text
    assert 'value="state=failed&amp;sender=bot"' in page and "Name of this view" in page
    form = {"name": " Broken bots ", "address": "state=failed&sender=bot&before=7"}
    answer = await check(world, "/views", data=form)
    assert answer.status_code == 422, "a place in the list is no filter"
    form["address"] = "state=failed&sender=bot"
    answer = await check(world, "/views", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?state=failed&sender=bot")
    page = (await check(world, "/?sender=bot&state=failed")).text
    assert 'aria-current="true"><bdi>Broken bots</bdi>' in page
    assert "Name of this view" not in page, "it has one already"
    assert "Broken bots" not in (await check(world, "/", who="grace")).text
    await check(world, "/views/delete", data={"name": "Broken bots"})
    assert "Broken bots" not in (await check(world, "/")).text


async def test_a_view_that_cannot_be_is_refused_and_nothing_is_kept(world):
    for name, filters in (
        ("", {"state": "failed"}),
        ("x" * 61, {"state": "failed"}),
        ("a\nb", {"state": "failed"}),
        ("odd", {"colour": "red"}),
        ("when", {"since": "never"}),
    ):
        assert (await put(world, name, **filters)).status_code == 422, name
    assert (await check(world, "/api/v1/views")).json() == {"views": []}


async def test_somebody_has_so_many_views_and_no_more(world):
    for number in range(VIEWS_MAX):
        assert (await put(world, f"v{number}", state="failed")).status_code == 200
    assert (await put(world, "one more", state="failed")).status_code == 409
    assert (await put(world, "v7", state="running")).status_code == 200, "it takes its place"
    async with client_of(world) as client:
        gone = await client.delete("/api/v1/views?name=v7", headers=OURS)
        again = await client.delete("/api/v1/views?name=v7", headers=OURS)
    assert (gone.status_code, again.status_code) == (200, 200)
    assert (await put(world, "one more", state="failed")).status_code == 200


async def test_who_is_logged_in_at_a_forge_is_no_holder_of_a_token_of_that_name():
    numbers = count()

    def token(**more):
        return Token(digest=digest_of_secret(str(next(numbers))), **more).person

    ada = token(name="ada@tea")
    assert ada == token(name="ada@tea", teams=["ops"], repos=["tea/7"])
    logged_in = token(name="ada@tea", connection="tea", user="7", login="ada")
    renamed = token(name="grace@tea", connection="tea", user="7", login="grace")
    assert logged_in == renamed != ada
    assert token(name="x", connection="hub", user="7") != logged_in
