"""What is too large for one message, on a real installation that forgets Runs and is killed."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.demo.installation import until
from tests.e2e.answers import said
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, installed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

MEBIBYTE = 1_048_576

BODY = """
text = await step.do("load", lambda: "0123456789abcdef" * 655_360)
said = await step.wait_for_event("go")
again = await step.do("load again", lambda: [text[:16]] * 100_000)
await step.wait_for_event("end")
return {"said": len(said), "last": text[-1], "again": len(again), "text": text}
"""


@pytest.fixture(scope="module")
def forgetful():
    """An installation that keeps no Tenant between two Turns: each Turn is made after a replay."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-large-"))
    folder.chmod(0o711)
    try:
        with installed(folder, "--hibernate", "always") as here:
            yield here
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restart(here: Installed) -> None:
    """Kill every process with -9, and start again."""
    here.installation.kill()
    here.installation.start()


def test_ten_mebibytes_outlive_hibernation_and_the_death_of_everything(
    forgetful: Installed,
) -> None:
    here = forgetful
    repo = here.repo("large")
    commit = repo.pushed({FILE: plan(BODY)})
    run = here.run(commit)
    here.waiting(run, "signal go")
    restart(here)
    payload = "p" * (6 * MEBIBYTE)
    assert (
        here.call("POST", f"/runs/{run}/signals", {"name": "go", "payload": payload}).status < 300
    )
    until("the second turn", lambda: here.show(run)["waiting_for"] == "signal end", TIMEOUT_S * 3)
    restart(here)
    here.staunch("signal", run, "end")
    ended = until("its end", lambda: here.show(run)["finished_at"], TIMEOUT_S * 3)
    assert ended
    assert here.verdict(commit).state == "success"
    shown = here.show(run)
    assert (shown["state"], shown["turns"]) == ("succeeded", 3)
    large = "`staunch history` and `staunch export` have it"
    assert large in shown["output"]
    (load, _, again, _) = shown["steps"]
    assert load["value"].startswith("(10,485,762 bytes") and large in load["value"]
    assert large in again["value"]
    for path in (f"/runs/{run}", "/"):
        assert len(here.page(path)) < MEBIBYTE
    assert "succeeded" in said(here.staunch("show", run))
    turns = here.get(f"/runs/{run}/history")["turns"]
    values = [one.get("value") for turn in turns for one in turn["turn"]["results"]]
    assert len(values[0]) == 10 * MEBIBYTE
    output = turns[-1]["turn"]["end"]["output"]
    assert output == {
        "said": 6 * MEBIBYTE, "last": "f", "again": 100_000, "text": values[0],
    }  # fmt: skip


def test_a_large_run_is_exported_replayed_and_looked_at_elsewhere(
    forgetful: Installed, here: Installed, tmp_path: Path
) -> None:
    body = 'text = await step.do("load", lambda: "x" * 10_485_760)\nreturn [len(text), text]'
    run = forgetful.repo("export").plan(body)
    forgetful.ended(run)
    file, copy = tmp_path / "run.jsonl", tmp_path / "copy.jsonl"
    forgetful.staunch("export", run, "--to", str(file))
    assert file.stat().st_size > 20 * MEBIBYTE
    assert "replays as recorded" in said(forgetful.staunch("replay", str(file)))
    assert said(here.staunch("import", str(file))).startswith(run)
    until("its record", lambda: here.call("GET", f"/runs/{run}").status == 200, TIMEOUT_S * 3)
    assert here.ended(run)["is_imported"]
    here.staunch("export", run, "--to", str(copy))
    assert copy.read_bytes() == file.read_bytes()
