"""What came in is kept as it came, and can be taken once more."""

from collections.abc import Iterator

import pytest

from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, ZERO, Installed, installed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e-deliveries"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("deliveries")) as it:
        yield it


def is_ignored(here: Installed, delivery: str) -> bool:
    found = here.get("/deliveries?limit=200&state=ignored")["deliveries"]
    return any(one["id"] == delivery for one in found)


def test_a_delivery_that_came_too_early_is_taken_once_more(here: Installed) -> None:
    repo = here.repo("early")
    commit = repo.commit({FILE: plan("return 7")}, "not pushed yet")
    _, answer = here.hook(repo, [(ZERO, commit, "refs/heads/main")], "too-early")
    assert answer.status == 202
    until("its outcome", lambda: is_ignored(here, "too-early"), TIMEOUT_S)
    assert "too-early" in here.staunch("deliveries", "--state", "ignored")
    assert "too-early" not in here.staunch("deliveries", "--state", "started")
    shown = here.staunch("delivery", "show", "too-ea")
    assert commit in shown
    assert "no longer exists" in shown
    repo.silent({"other.txt": "1"})
    said = here.staunch("delivery", "replay", "too-early")
    assert "too-early as replay-" in said
    run = here.run(commit)
    assert run in said
    assert here.ended(run)["output"] == 7
    # It has its run: once more makes no second one.
    assert run in here.staunch("delivery", "replay", "too-early")
    assert len(here.runs(commit)) == 1


def test_a_payload_is_shown_to_administrators_alone_and_what_is_not_there_is_told(
    here: Installed,
) -> None:
    assert here.call("GET", "/delivery?id=x", who="grace").status == 403
    assert here.call("POST", "/delivery/replay", {"id": "x"}, who="grace").status == 403
    answer = here.call("GET", "/delivery?id=nowhere")
    assert (answer.status, answer.detail) == (404, "There is no 'nowhere': `staunch deliveries`.")
    assert here.call("GET", "/delivery?id=%25").status == 404
    repo = here.repo("two")
    for identity in ("twin-1", "twin-2"):
        here.hook(repo, [(ZERO, "1" * 40, "refs/heads/x")], identity)
    until("both", lambda: all(is_ignored(here, f"twin-{n}") for n in (1, 2)), TIMEOUT_S)
    answer = here.call("GET", "/delivery?id=twin")
    assert answer.status == 409
    assert "twin-1" in answer.detail
