"""The page of trust: what waits, in a stranger's words, and a button that names the commit."""

import pytest

from pipelines.trust import Admission, TrustPolicy
from tests.web.trust import held_pull
from tests.web.visitor import check
from tests.web.world import COMMIT, World

pytestmark = pytest.mark.anyio


async def test_what_waits_is_shown_with_its_whole_commit_and_the_words_stay_text(
    world: World,
) -> None:
    await held_pull(world, title="<script>alert(1)</script>")
    page = (await check(world, "/trust")).text
    assert f'name="commit" value="{COMMIT}"' in page
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_policies_are_shown_and_the_default_where_there_is_none(world: World) -> None:
    assert "nobody: the default" in (await check(world, "/trust")).text
    policy = TrustPolicy(scope="tea/7", strangers=Admission.REFUSE, by="ada", approvers=["@ops"])
    await world.trust.put_policy(policy)
    page = (await check(world, "/trust")).text
    assert "<td>me/shop</td>" in page
    assert "<td>@ops</td>" in page


async def test_nobody_approves_without_being_an_approver(world: World) -> None:
    await held_pull(world)
    form = {"repo": "tea/7", "number": "7", "commit": COMMIT}
    answer = await check(world, "/trust/approve", who="grace", data=form)
    assert answer.status_code == 403
    assert "administrators do" in answer.text
