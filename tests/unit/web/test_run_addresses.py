"""What the address of a run's page asks for, and the addresses that lead on from it."""

import pytest

from ci_host.web.run_address import RunAddress, Tab, tab_links
from tests.web.told_runs import failed_run
from tests.web.visitor import check


def test_an_address_without_a_tab_or_with_one_that_is_not_there_shows_the_timeline():
    assert RunAddress().shown is RunAddress(tab="nothing").shown is Tab.TIMELINE


def test_a_log_is_chosen_beside_the_tab_and_a_tab_beside_the_log():
    address = RunAddress("eu/build & ship", 2, "db", "tests")
    assert address.to_log("a/b", 1) == "?job=a%2Fb&attempt=1&tab=tests#log"
    there = address.to_tab(Tab.ARTIFACTS)
    assert there == "?job=eu%2Fbuild+%26+ship&attempt=2&service=db&tab=artifacts"


def test_the_bar_says_which_tab_is_shown_and_what_is_behind_the_others():
    links = tab_links(RunAddress(tab="tests"), [(Tab.TESTS, "2 failed", True)])
    assert [one.name for one in links if one.is_shown] == ["Tests"]
    assert [(one.count, one.is_bad) for one in links if one.count] == [("2 failed", True)]


@pytest.mark.anyio
@pytest.mark.parametrize("query", ["?tab=%3Cscript%3E", "?tab=", "?tab=GRAPH", "?job=nothing"])
async def test_what_is_not_there_is_left_out_of_account(world, query):
    story = await failed_run(world)
    answer = await check(world, f"/runs/{story.run}{query}")
    assert answer.status_code == 200
    assert 'id="tab-timeline" data-swap="tab" aria-current="page"' in answer.text


@pytest.mark.anyio
async def test_a_fragment_of_the_tab_is_the_tab_alone(world):
    story = await failed_run(world)
    text = (await check(world, f"/runs/{story.run}/fragment?tab=tests&part=tab")).text
    assert 'id="part-tab"' in text and "part-head" not in text and "part-steps" not in text
