"""A start by hand that says it is another event: refused wherever forges tell events."""

from dataclasses import replace

import msgspec
import pytest

from ci_host.access import Token
from ci_host.api.problems import Problem
from ci_host.api.starting import Start, start_as
from tests.web.visitor import client_of
from tests.web.world import COMMIT, SECRETS

pytestmark = pytest.mark.anyio

WHO = Token(digest="0" * 64, name="ada")
PUSH = {"kind": "push", "ref": "refs/heads/main"}


async def check(world, event, *, is_allowed: bool) -> Problem:
    """Why an administrator's start with this event is refused."""
    settings = msgspec.structs.replace(world.services.settings, any_event=is_allowed)
    wish = Start("tea/7", COMMIT, pipeline="")
    with pytest.raises(Problem) as refused:
        await start_as(replace(world.services, settings=settings), WHO, wish, event)
    return refused.value


async def test_nobody_may_say_of_a_start_by_hand_that_a_forge_told_it(world):
    body = {"repo": "tea/7", "commit": COMMIT, "event": PUSH}
    headers = {"authorization": f"Bearer {SECRETS['ada']}"}
    async with client_of(world, "") as http:
        answer = await http.post("/api/v1/runs", json=body, headers=headers)
    assert answer.status_code == 403
    assert "what a run may do follows from its event" in answer.json()["detail"]


@pytest.mark.parametrize(
    "event",
    [{}, {"kind": "party"}, {"kind": "push", "commit": 7}, {"kind": "push", "before": [[]]}],
    ids=["empty", "unknown", "wrong", "nested"],
)
async def test_where_it_may_be_said_what_is_no_event_is_refused_with_its_field(world, event):
    problem = await check(world, event, is_allowed=True)
    assert (problem.status, problem.title) == (422, "No event")
    assert (await check(world, event, is_allowed=False)).status == 403


async def test_nobody_may_have_steps_taken_for_done_where_others_look(world):
    supposed = {"only": ["deploy"]}
    body = {"repo": "tea/7", "commit": COMMIT, "supposed": supposed}
    headers = {"authorization": f"Bearer {SECRETS['ada']}"}
    async with client_of(world, "") as http:
        answer = await http.post("/api/v1/runs", json=body, headers=headers)
        wrong = [{"only": []}, {"only": "deploy"}, {"only": ["a"] * 101}, {}]
        refused = [
            await http.post("/api/v1/runs", json=body | {"supposed": one}, headers=headers)
            for one in wrong
        ]
    assert answer.status_code == 403
    assert "staunch run --only" in answer.json()["detail"]
    assert {one.status_code for one in refused} == {422}
