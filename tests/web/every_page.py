"""EveryPage: all pages, each in the states in which it looks different: one table.

A new page joins it with one line: its name, its route as it is declared, an address, and, if it
needs something to show, that in `furnished`. Whoever walks over all pages walks over this.
"""

from dataclasses import dataclass

import msgspec

from ci_host.audit import Deed
from ci_host.badge import BadgeRule
from ci_host.line_ports import EnvironmentRule, JobLimit
from ci_host.ref_ports import NotCompared
from ci_host.status_ports import Untold
from ci_host.view_ports import SavedView
from pipelines.commands import GateTerms, Open, OpenJob
from pipelines.job import Artifact, Coverage, CoveredFile, Outcome, ReportedTest, ReportedTests
from pipelines.secret import NamedScope, Scope
from pipelines.status import Status, StatusState
from tests.web import shapes
from tests.web.schedules import scheduled
from tests.web.served import Served
from tests.web.told_runs import failed_run, running_run, waiting_run
from tests.web.trust import held_pull
from tests.web.world import NOW, Story, World, job


@dataclass(frozen=True, slots=True)
class Page:
    """`address` may name what `furnished` answers; `who` looks, empty: somebody who is not logged
    in. `act` is done there first; `status`: what the page is answered with."""

    name: str
    route: str
    address: str
    who: str = "grace"
    act: str = ""
    status: int = 200


RUN = "/runs/{run}"
PAGES = (
    Page("runs", "/", "/"),
    Page("runs-none", "/", "/?repo=none"),
    Page("run-failed", RUN, "/runs/{broken}"),
    Page("run-keys", RUN, "/runs/{broken}", act="document.getElementById('keys').showPopover()"),
    Page("run-going", RUN, "/runs/{chain}"),
    Page("run-gate", RUN, "/runs/{gate}"),
    Page("run-many-steps", RUN, "/runs/{wide}"),
    Page("run-graph", RUN, "/runs/{broken}?tab=graph"),
    Page("run-tests", RUN, "/runs/{tested}?tab=tests"),
    Page("run-artifacts", RUN, "/runs/{tested}?tab=artifacts"),
    Page("run-history", RUN, "/runs/{broken}?tab=history&turn=10"),
    Page("run-history-many", RUN, "/runs/{wide}?tab=history&turn=70"),
    Page("run-empty", RUN, "/runs/{begun}?tab=history"),
    Page("run-beside", RUN, "/runs/{broken}?job=test/python=3.12,os=alpine&attempt=2&beside=1"),
    Page("repos", "/repos", "/repos"),
    Page("repo", "/repos/{repo:path}", "/repos/me/shop", who="ada"),
    Page("runs-filtered", "/", "/?state=failed&since=7d", who="ada"),
    Page("runners", "/runners", "/runners", who="ada"),
    Page("secrets", "/secrets", "/secrets", who="ada"),
    Page("audit", "/audit", "/audit", who="ada"),
    Page("settings", "/settings", "/settings", who="ada"),
    Page("tokens", "/tokens", "/tokens", who="ada"),
    Page("more", "/inbox", "/inbox", who="ada", act="document.querySelector('.more').open = true"),
    Page("inbox", "/inbox", "/inbox"),
    Page("schedules", "/schedules", "/schedules"),
    Page("deliveries", "/deliveries", "/deliveries", who="ada"),
    Page("trust", "/trust", "/trust", who="ada"),
    Page("api", "/docs/api", "/docs/api"),
    Page(
        "api-route",
        "/docs/api",
        "/docs/api",
        act="document.querySelector('details').open = true",
    ),
    Page("login", "/login", "/login", who=""),
    Page("let-in", "/let-in/{code}", "/let-in/{code}"),
    Page("nothing-here", "", "/nothing", status=404),
    Page("refused", RUN, "/runs/{broken}?turn=-1", status=422),
)

# What answers a browser and is no page of its own.
PARTS = frozenset({
    "/fragment", "/runs/{run}/fragment", "/live", "/runs/{run}/live", "/inbox/count",
    "/login/{connection}", "/login/{connection}/callback", "/badge/{name:path}.svg",
})  # fmt: skip


def furnished(host: Served) -> dict[str, str]:
    """Something to see on every page; answers what addresses name."""
    world = host.world
    runs = {
        "broken": shapes.release(world, 1, breaks=True),
        "chain": shapes.chain(world, 2),
        "wide": shapes.wide(world, 140, 3),
        "gate": shapes.release(world, 4),
        "tested": _tested(world),
        "begun": Story(world, 6).begin(),
    }
    made = {name: str(host.do(story).run) for name, story in runs.items()}
    host.do(_around(world))
    asked = world.services.device_logins.ask("d" * 64, "ada's laptop", "::1")
    return {**made, "code": asked.code}


async def _tested(world: World) -> Story:
    """A job that handed over whatever there is."""
    story = await Story(world, 5).begin(message="Tests and files")
    await story.turn(job("unit"), job("eu/build"))
    story.later().claim("unit").claim("eu/build")
    world.write_log(story.job_id("unit"), "=== make test\n\x1b[31mFAIL\x1b[0m: it is not 4\n")
    await story.later(4).finish(
        "unit",
        Outcome.FAILED,
        artifacts=[Artifact(name="dist", digest="d" * 64, size=5_000_000, files=3)],
        coverage=Coverage(covered=1, lines=2, files=[CoveredFile(file="a.c", covered=1, lines=2)]),
        summary="# What it found\n\n| a | b |\n| --- | --- |\n| 1 | `two` |\n\n- [x] done\n",
        tests=ReportedTests(
            passed=1, failed=1, skipped=1, seconds=3.2,
            tests=[
                ReportedTest(name="test_cart", outcome="passed", seconds=1.0),
                ReportedTest(name="test_total", outcome="failed", seconds=2.0, message="not 4"),
                ReportedTest(name="test_later", outcome="skipped", seconds=0.2),
            ],
        ),
        left_out=["build/huge.bin: it has 5 GB, the limit is 1"],
        denied=["evil.test:443: it is not in the list"],
    )  # fmt: skip
    return story


async def _around(world: World) -> None:
    """What other pages list."""
    await waiting_run(world, 11)
    terms = GateTerms(approvers=["ada"], message="Only ada may")
    await waiting_run(world, 12, terms=terms)
    await failed_run(world, 13)
    await running_run(world, 14)
    await scheduled(world)
    await held_pull(world)
    await _administered(world)
    await world.untold.keep(_untold())
    world.delivered("d-1", reason="no pipeline runs on push of refs/heads/side")
    world.delivered("d-2", runs=["1-00000000000000000001"])


def _untold() -> Untold:
    """A status that its forge refused."""
    status = Status(
        id="s-1", connection="tea", repo="7", repo_name="me/shop", commit="f00d" * 10,
        context="staunch/build (pull request)", state=StatusState.FAILURE, description="unit",
        target_url="https://ci.example/runs/1", at=NOW, run="1-00000000000000000001",
    )  # fmt: skip
    reason = "the forge answered 401: token is required. The connection's token has expired"
    return Untold(status=status, reason=f"{reason}; set a new one.", since=NOW - 4_000)


async def _administered(world: World) -> None:
    """A badge, a saved view, runners, a job that waits, a secret and its environment, an act."""
    await waiting_job(world, 16)
    sign = {"runner": "build-07", "pools": ["gpu"], "slots": 2, "version": "1", "at": 0}
    world.bus.put("runner.*", msgspec.json.encode(sign))
    world.directory.badges["tea/7"] = BadgeRule(repo="tea/7", is_public=True)
    view = SavedView(name="My failures", filters={"state": "failed"}, at=NOW)
    await world.services.views.write("ada", [view], after=0)
    named = NamedScope(name="DEPLOY_KEY", scope=Scope(repo="tea/7", environment="production"))
    await world.services.secrets.put(named, "correct horse battery", "ada")
    rule = EnvironmentRule(repo="tea/7", environment="production", refs=["main"], by="ada", at=NOW)
    world.catalog.environments = [rule]
    world.catalog.job_limits = [JobLimit(pool="gpu", at_once=2)]
    await world.services.sights.tell(NotCompared(connection="tea", reason="it is away", since=NOW))
    act = {"act": "POST /runs/{run}/cancel", "on": {"run": "1-00000000000000000001"}}
    deed = Deed(at=NOW, by="grace", token="a1b2", address="::1", status=303, **act)
    await world.services.audit.record(deed)


async def waiting_job(world: World, number: int) -> None:
    """One that no runner has taken."""
    story = await Story(world, number).begin(message="It waits for a runner")
    await story.turn(job("build"), wanted=Open(jobs=[OpenJob(key="build", attempt=1)]))
