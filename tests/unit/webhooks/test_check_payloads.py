"""What people press on a GitHub check: a Run once more, or all of a commit. All else is ignored."""

import pytest

from tests.unit.webhooks.test_forge_payloads import COMMIT, check, one
from webhooks.errors import Malformed
from webhooks.forge import Again, GatePress, Ignored

RUN = "1-0123456789abcdef0123"


def test_githubs_own_button_on_a_check_asks_for_its_run_again():
    parsed = one("github/check_run_rerequested")
    assert parsed.again == Again(run=RUN)
    assert (parsed.external_id, parsed.name) == ("4711", "waterways/lock")
    event = parsed.event
    assert (event.commit, event.sender, event.delivery) == (COMMIT, "ada", "delivery-1")


def test_our_buttons_ask_for_the_run_again_and_one_of_them_for_what_failed():
    assert one("github/check_run_requested_action").again == Again(run=RUN, failed_only=True)
    change = {"requested_action.identifier": "rerun"}
    assert one("github/check_run_requested_action", change).again == Again(run=RUN)


@pytest.mark.parametrize(("word", "approved"), [("approve", True), ("reject", False)])
def test_a_gates_button_names_the_gate_and_who_pressed(word, approved):
    change = {"requested_action.identifier": f"{word}-0123456789ab"}
    parsed = one("github/check_run_requested_action", change)
    assert parsed.press == GatePress(RUN, "0123456789ab", approved, "ada")
    assert (parsed.again, parsed.event.commit) == (None, COMMIT)


@pytest.mark.parametrize("login", ["", "../ada", "ada?x=1", "a\nb", "ä"])
def test_who_has_no_login_presses_nothing(login):
    change = {"requested_action.identifier": "approve-0123456789ab", "sender.login": login}
    assert isinstance(check("github/check_run_requested_action", change), Ignored)


@pytest.mark.parametrize(
    "identifier",
    ["", "approve", "rerun ", "RERUN", "approve-", "approve-0123456789AB", "approve-0"],
)
def test_a_button_that_is_not_ours_asks_for_nothing(identifier):
    change = {"requested_action.identifier": identifier}
    assert isinstance(check("github/check_run_requested_action", change), Ignored)


def test_the_button_for_all_checks_asks_for_all_of_the_suite():
    assert one("github/check_suite_rerequested").again == Again(suite="118578147")


@pytest.mark.parametrize("action", ["created", "completed", "requested", "made_up"])
@pytest.mark.parametrize("name", ["check_run_rerequested", "check_suite_rerequested"])
def test_what_was_told_by_us_asks_for_nothing(name, action):
    ignored = check(f"github/{name}", {"action": action})
    assert isinstance(ignored, Ignored) and action in ignored.reason


@pytest.mark.parametrize("external_id", [None, "", "x" * 5_000, "*.>", "../../etc"])
def test_what_a_check_says_of_its_run_is_a_claim_and_passed_on_as_one(external_id):
    again = one("github/check_run_rerequested", {"check_run.external_id": external_id}).again
    assert again.run == (external_id or "")[:300]


@pytest.mark.parametrize("sha", ["0" * 40, "HEAD", "", "A" * 40])
def test_a_check_without_a_commit_is_malformed(sha):
    with pytest.raises(Malformed):
        check("github/check_run_rerequested", {"check_run.head_sha": sha})


def test_a_check_event_without_its_check_is_ignored():
    assert isinstance(check("github/check_run_rerequested", {"check_run": None}), Ignored)
