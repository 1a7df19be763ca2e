"""Errands: what people come to the pages for, and in how many clicks they have it: one table.

`docs/guide/pages.md` prints it. `go` does it with the mouse, and waits for what was wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.commands import GateTerms
from tests.web.every_page import furnished
from tests.web.hand import Hand
from tests.web.served import Served
from tests.web.told_runs import waiting_run
from tests.web.world import World


@dataclass(frozen=True, slots=True)
class Errand:
    """`at` may name what `prepared` answers; `way`: what is clicked, for people. `led_to`: the
    kind of input that the Run has then, or nothing."""

    what: str
    start: str
    at: str
    clicks: int
    way: str
    go: Callable[[Hand], object]
    who: str = "grace"
    run: str = ""
    led_to: str = ""


RED, LIST = "the red check at the forge", "the list of runs"
PAGE = "the run's page"
FLAKY = "job=test/python=3.12,os=alpine&attempt=2#log"

ERRANDS = (
    Errand(
        "Why is it red?", RED, "/runs/{broken}", 0, "the page opens with it",
        lambda hand: hand.sees("pod web-59 is not ready after 60 s"),
    ),
    Errand(
        "Why is it red?", LIST, "/?state=failed", 1, "the run",
        lambda hand: hand.click("Ship the new cart").sees("pod web-59 is not ready after 60 s"),
    ),
    Errand(
        "Read the log around the line that broke", PAGE, "/runs/{broken}", 1,
        "the job's name in the failure",
        lambda hand: hand.click("us/deploy", ".failure").sees("./deploy.sh us"),
    ),
    Errand(
        "Find a line of the log", PAGE, "/runs/{broken}", 1, "*Search the log*, then type",
        lambda hand: hand.click("Search in the log").type("pod web-7").sees("out pod web-7"),
    ),
    Errand(
        "A link to a line, for somebody else", PAGE, "/runs/{broken}", 1, "its number",
        lambda hand: hand.click("60", "#log").at("#us/deploy/L60"),
    ),
    Errand(
        "Run again only what failed", PAGE, "/runs/{broken}", 1, "*Only what failed*",
        lambda hand: hand.click("Only what failed").at("/runs/"), led_to="rerun", run="broken",
    ),
    Errand(
        "Cancel", PAGE, "/runs/{chain}", 1, "*Cancel*",
        lambda hand: hand.click("Cancel"), led_to="cancel_requested", run="chain",
    ),
    Errand(
        "What went another way in the attempt before?", "a step's log", f"/runs/{{broken}}?{FLAKY}",
        1, "*Compare with attempt 1*",
        lambda hand: hand.click("Compare with attempt 1").sees("E   TimeoutError: no answer of db"),
    ),
    Errand(
        "Approve what waits for me", "any page", "/deliveries", 2, "*Inbox*, *Approve*",
        lambda hand: hand.click("Inbox").click("Approve", ".gates").at("/inbox"),
        led_to="gate_answered", run="asks",
    ),
    Errand(
        "Why does it wait?", LIST, "/?state=running", 0, "it says so",
        lambda hand: hand.sees("Waits for gate approve"),
    ),
    Errand(
        "Download what a job kept", PAGE, "/runs/{tested}", 2, "*Artifacts*, its name",
        lambda hand: hand.click("Artifacts", ".tab-bar").click("dist.tar").downloads("dist.tar"),
    ),
    Errand(
        "The last run of a branch", LIST, "/", 3, "*Branch or ref*, type, *Filter*, the run",
        lambda hand: hand.click("Branch or ref").type("release").click("Filter")
        .click("A release").sees("refs/heads/release".removeprefix("refs/heads/")),
    ),
    Errand(
        "Why did my push start nothing?", "any page", "/inbox", 2, "*More*, *Deliveries*",
        lambda hand: hand.click("More").click("Deliveries").sees("no pipeline runs on push"),
    ),
    Errand(
        "Have a webhook call taken again", "any page", "/inbox", 3,
        "*More*, *Deliveries*, *Take it again*",
        lambda hand: hand.click("More").click("Deliveries").click("Take it again"),
        who="ada", led_to="replayed",
    ),
    Errand(
        "Run the nightly now", "any page", "/", 2, "*Schedules*, *Run now*",
        lambda hand: hand.click("Schedules").click("Run now"), led_to="rung",
    ),
    Errand(
        "What did a restart do to it?", PAGE, "/runs/{broken}", 0, "the timeline says so",
        lambda hand: hand.sees("host and engine restarted, resumed at"),
    ),
)  # fmt: skip


def prepared(host: Served) -> dict[str, str]:
    """Something to come for."""
    return {**furnished(host), "asks": str(host.do(_asks(host.world)).run)}


async def _asks(world: World):
    await waiting_run(world, 31, ref="refs/heads/release", message="A release")
    # The oldest that grace may answer is the first of the inbox: it wants no inputs.
    world.history.now -= 100_000
    story = await waiting_run(world, 32, terms=GateTerms(approvers=["@ops"]), message="Go?")
    world.history.now += 100_000
    return story


def table() -> str:
    """The errands as the guide has them."""
    rows = ["| what for | from | clicks | which |", "| --- | --- | --- | --- |"]
    rows += [f"| {one.what} | {one.start} | {one.clicks} | {one.way} |" for one in ERRANDS]
    return "\n".join(rows)
