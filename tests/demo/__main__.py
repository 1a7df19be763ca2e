"""Act it out: push, crash, crash again, approve, finish, fail; then judge. Exit 0 if all holds."""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.demo import verdicts
from tests.demo.forge import TOKEN, RecordingForge
from tests.demo.installation import Gone, Installation, until
from tests.demo.project import Project


class Stage:
    """Says what happens, with the time since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)


def main() -> int:
    """Answers the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-demo-"))
    # Jobs run as a user of their own, who must be able to reach what is theirs.
    folder.chmod(0o711)
    deploys = folder / "deploys"
    deploys.mkdir()
    deploys.chmod(0o777)
    stage = Stage()
    with RecordingForge() as forge:
        installation = Installation(folder, "--volume", f"deploys={deploys}")
        try:
            judged = act(stage, installation, Project(folder), forge, deploys / "deploys.txt")
        except Gone as error:
            stage.say(f"FAILED: {error}")
            print(f"everything is left in {folder}")
            return 1
        finally:
            installation.stop()
    print()
    for verdict in judged:
        print(f"{'PASS' if verdict.held else 'FAIL'}  {verdict.claim}  ({verdict.seen})")
    if all(verdict.held for verdict in judged):
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(f"everything is left in {folder}")
    return 1


def act(
    stage: Stage,
    installation: Installation,
    project: Project,
    forge: RecordingForge,
    deploys: Path,
) -> list[verdicts.Verdict]:
    """The main job, from the first push to the last status."""
    stage.say("starting Staunch (host, engine, nats-server, runner)")
    installation.start()
    installation.staunch(
        "repo", "add", str(project.bare), "--name", "demo/shop",
        "--api-url", forge.url, "--forge-token", TOKEN,
    )  # fmt: skip
    ops = installation.staunch("token", "add", "grace", "--team", "ops").strip()
    stage.say("git push")
    commit = project.push("A shop with a cart")
    run = until("the run", lambda: find_run(installation, commit))
    job = until("the job `unit` to talk", lambda: talking(installation, run))
    stage.say(f"run {run}: job unit is running ({job}); kill -9 everything")
    stage.say("killed: " + ", ".join(installation.kill()))
    installation.start()
    stage.say("started again")
    until("the gate", lambda: waits_at_gate(installation, run))
    stage.say("the run waits at its gate; kill -9 everything")
    stage.say("killed: " + ", ".join(installation.kill()))
    installation.start()
    stage.say("started again; grace of @ops approves")
    until("the gate", lambda: waits_at_gate(installation, run))
    installation.staunch("approve", run, "approve", "--input", "percent=25", token=ops)
    first = until("the end of the run", lambda: over(installation, run))
    until("the last status", lambda: any(t.state != "pending" and t.context == verdicts.RUN
                                         for t in forge.told))  # fmt: skip
    stage.say(f"the run has {first['state']}; pushing a commit that breaks a test")
    project.break_cart()
    broken = project.push("Discounts, the wrong way round")
    second_id = until("the second run", lambda: find_run(installation, broken))
    second = until("its end", lambda: over(installation, second_id))
    until("its last status", lambda: any(t.commit == broken and t.state == "failure"
                                         for t in forge.told))  # fmt: skip
    print()
    print(installation.staunch("show", run))
    print(installation.staunch("show", second_id).split("timeline")[0])
    return [
        verdicts.survived(first, kills=2),
        verdicts.step_results_once(installation.ask("history", run)),
        verdicts.deploy_once(deploys),
        verdicts.log_is_whole(installation.staunch("logs", run, "unit")),
        verdicts.statuses_in_order(forge.told, commit),
        verdicts.failure_is_placed(second, forge.told),
    ]


def find_run(installation: Installation, commit: str) -> str | None:
    """The commit's run, once it is there."""
    found = installation.ask("runs")["runs"]
    return next((run["id"] for run in found if run["commit"] == commit), None)


def talking(installation: Installation, run: str) -> str | None:
    """The tail of unit's log, once its slow test has begun."""
    try:
        log = installation.staunch("logs", run, "unit")
    except Gone:
        return None
    lines = log.splitlines()
    return lines[-1] if lines and lines[-1].startswith("checked item") else None


def waits_at_gate(installation: Installation, run: str) -> bool:
    """Whether the run has come to its gate."""
    return bool(installation.ask("show", run)["waiting_for"] == "gate approve")


def over(installation: Installation, run: str) -> dict[str, Any] | None:
    """The run, once it is over."""
    detail: dict[str, Any] = installation.ask("show", run)
    return detail if detail["finished_at"] else None


if __name__ == "__main__":
    sys.exit(main())
