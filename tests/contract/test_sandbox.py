"""The Sandbox port: one suite for the real sandbox and the in-process one."""

from dataclasses import replace

import pytest
from msgspec.json import encode
from staunch.jobs import REQUEST_CHARS_MAX

from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.native import NativeImage
from ci_host.tenant.sandbox import TenantFailed, TimedInput, TurnInputs
from pipelines.bundle import Bundle
from pipelines.codec import encode_turn
from pipelines.commands import OpenJob
from pipelines.guest.limits import VALUE_BYTES_MAX
from pipelines.job import Outcome
from pipelines.turn import Turn, check_replay
from tests.tenants import (
    BEGIN,
    FILE,
    RUN,
    Play,
    approved,
    cancel,
    finished,
    plan,
    signal,
    started,
)

REALISTIC = """
import dataclasses, enum, re, uuid
from datetime import datetime, UTC

class Stage(enum.Enum):
    CANARY = 5
    FULL = 100

@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    stages: tuple = (Stage.CANARY, Stage.FULL)

VERSION = re.compile(r"v(?P<major>[0-9]+)")

def now():
    return datetime.fromtimestamp(asyncio.get_running_loop().time(), UTC)

def version(text):
    return VERSION.match(text)["major"]

def flaky():
    if random.random() < 0.7:
        raise OSError("dice")
    return str(uuid.uuid4())
"""

BODY = """
major = await step.do("version", version, "v12")
print(Target("eu"), Target.__doc__, now().isoformat())
dice = [random.random(), await step.do("flaky", flaky, retries=Retry(9, delay=1))]
await step.parallel(
    step.job("unit", run="pytest -q", retries=Retry(1, delay="10s")),
    step.job("lint", run=["ruff check ."], env={"A": "b"}),
)
answer = await step.gate("deploy", approvers=["ann"], inputs={"percent": int}, timeout="7d")
try:
    async with asyncio.timeout(30):
        await step.wait_for_event("never")
except TimeoutError:
    dice.append(random.getrandbits(64))
await step.sleep("soak", "2h")
return [major, dice, answer.inputs, await step.wait_for_event("go"), now().timestamp()]
"""


@pytest.fixture(params=["native", pytest.param("wasm", marks=pytest.mark.sandbox)])
def host(request):
    """A TenantHost of each kind."""
    real = request.param == "wasm"
    image = request.getfixturevalue("wasm_image") if real else NativeImage()
    host = TenantHost(image, replace(Limits(), blanks=1))
    yield host
    host.close()


def played(host, seed="seed"):
    run = Play(host, plan(BODY, REALISTIC), seed=seed)
    outcome = run.start()
    while not outcome.open.jobs:
        outcome = run.wake()
    run.job("unit", Outcome.LOST)
    run.wake()
    run.turn(finished("lint"), finished("unit", attempt=2))
    run.turn(approved("deploy", "ann", percent=5))
    run.turn(signal("go", {"x": [1, 2.5, None, "ü"]}))
    run.wake()
    run.wake()
    run.tenant.close()
    assert run.made[-1][1].end is not None, run.made[-1]
    return run


def test_a_run_goes_from_its_start_to_its_end(host):
    run = played(host)
    end = run.made[-1][1].end
    assert end.state == "succeeded", end
    major, dice, inputs, payload, now = end.output
    assert (major, inputs, payload) == ("12", {"percent": 5}, {"x": [1, 2.5, None, "ü"]})
    assert now == pytest.approx(run.at, abs=1e-3)
    assert len(dice) == 3
    assert run.made[0][1].printed.startswith("Target(name='eu'")
    assert "1970-01-12T13:46:40+00:00" in run.made[0][1].printed


def test_a_replay_in_one_call_passes_the_check_of_every_turn(host):
    run = played(host)
    for (turn, outcome), again in zip(run.made, run.replayed(), strict=True):
        recorded = Turn(
            number=1,
            consumed=[one.seq for one in turn.inputs],
            through=turn.inputs[-1].seq,
            by="engine",
            now=outcome.now,
            digest=outcome.digest,
            state="running",
            commands=outcome.commands,
            results=outcome.results,
        )
        check_replay(recorded, again)
        assert encode_turn(recorded)
        assert (again.now, again.open, again.wake_at) == (
            outcome.now,
            outcome.open,
            outcome.wake_at,
        )


def test_a_history_larger_than_a_guest_could_hold_at_once_is_replayed(host):
    body = """
for number in range(9):
    text = await step.do(f"load {number}", lambda number=number: str(number) * 8_000_000)
    await step.wait_for_event("next")
return text[:3]
"""
    run = Play(host, plan(body))
    run.start()
    for number in range(9):
        run.turn(signal("next", identity=f"s{number}"))
    run.tenant.close()
    assert run.made[-1][1].end.output == "888"
    assert sum(len(encode(o.results)) for _, o in run.made) > Limits().answer_chars_max
    assert [one.digest for one in run.replayed()] == [outcome.digest for _, outcome in run.made]


def test_a_value_at_its_limit_is_taken_and_one_over_it_is_an_error_at_its_line(host):
    fits = "x" * (VALUE_BYTES_MAX - 2)
    body = """
kept = await step.do("fits", lambda: "x" * {size})
try:
    await step.do("over", lambda: "x" * ({size} + 1))
except ValueError as error:
    return [len(kept), str(error)]
"""
    run = Play(host, plan(body.replace("{size}", str(len(fits)))))
    size, error = run.start().end.output
    run.tenant.close()
    assert size == len(fits)
    assert f"{VALUE_BYTES_MAX + 1} bytes" in error


def test_a_job_at_its_limit_is_asked_for_and_one_over_it_is_an_error_at_its_line(host):
    run = Play(host, plan(f"await step.job('a', 'x' * {REQUEST_CHARS_MAX - 200})"))
    assert run.start().open.jobs
    run.tenant.close()
    run = Play(host, plan(f"await step.job('a', 'x' * {REQUEST_CHARS_MAX + 1})"))
    error = run.start().end.error
    run.tenant.close()
    assert (error.type, error.line) == ("ValueError", 6)
    assert "characters; 1,048,576 are allowed" in error.message


def test_a_replay_without_what_was_recorded_decides_the_same(host):
    run = played(host)
    tenant = run.load()
    again = tenant.advance([TurnInputs(turn.inputs) for turn, _ in run.made])
    tenant.close()
    assert [one.digest for one in again] == [outcome.digest for _, outcome in run.made]
    assert [one.end for one in again] == [outcome.end for _, outcome in run.made]


def test_a_history_that_is_larger_than_a_call_may_be_is_replayed_whole(host):
    """In one call this would not fit into the memory of a sandbox, several times over."""
    body = "while True:\n    await step.wait_for_event('go')\n"
    body += "    await step.do('v', lambda: 'x' * 500_000)"
    run = Play(host, plan(body))
    run.start()
    for number in range(40):
        run.turn(signal("go", "y" * 500_000, f"s{number}"))
    run.tenant.close()
    assert [one.digest for one in run.replayed()] == [one.digest for _, one in run.made]


def test_a_plan_is_told_how_long_its_history_is_and_the_same_on_replay(host):
    body = "seen = [step.usage.history_bytes]\nawait step.sleep('s', 5)\n"
    run = Play(host, plan(body + "return [*seen, step.usage.history_bytes, step.usage.events]"))
    run.start()
    run.history_bytes = 4_321
    assert run.wake().end.output == [0, 4_321, 2]
    assert [one.digest for one in run.replayed()] == [one.digest for _, one in run.made]


def test_a_waiting_run_goes_on_in_another_tenant(host):
    run = Play(host, plan("await step.job('a', 'x')\nawait step.job('b', 'x')"))
    run.start()
    first = run.load()
    first.advance([TurnInputs(turn.inputs, outcome.results) for turn, outcome in run.made])
    run.tenant = first
    assert [c.key for c in run.job("a").commands] == ["b"]


def test_two_tenants_of_one_seed_are_equal_and_of_another_differ(host):
    one, two, other = played(host), played(host), played(host, seed="other")
    assert [o for _, o in one.made] == [o for _, o in two.made]
    assert one.made[-1][1].end.output[1] != other.made[-1][1].end.output[1]


def test_a_pooled_blank_decides_what_a_fresh_one_does(host):
    unpooled = played(host)
    host.refill()
    host.refill()
    pooled = played(host)
    assert [o for _, o in unpooled.made] == [o for _, o in pooled.made]


def test_prepare_tells_pipelines_triggers_and_mistakes_apart(host):
    prepared = host.prepare(
        Bundle(
            files={
                ".staunch/pipeline.py": "from staunch import on\nimport shared\n"
                "on.push(branches=['main'], tags=['v*'])\non.pull_request()\n" + plan("pass"),
                ".staunch/nightly-build.py": plan("pass"),
                ".staunch/queue.py": plan("pass"),
                ".staunch/shared.py": "from lib import deep\n",
                ".staunch/lib/deep.py": "X = 1\n",
                ".staunch/cut.py": "async def run(event, step):\n    return (\n",
                ".staunch/broken.py": "import shared\n\n1 / 0\n",
                ".staunch/plain.py": "def run(event, step): pass\n",
                ".staunch/leaves.py": "import sys\nsys.exit(1)\n",
                ".staunch/notes.txt": "nothing",
            }
        )
    )
    found = {entry.name: entry for entry in prepared.pipelines}
    assert sorted(found) == [
        "broken", "cut", "leaves", "nightly-build", "pipeline", "plain", "queue",
    ]  # fmt: skip
    assert found["pipeline"].triggers == [
        {"on": "tag", "tags": ["v*"]},
        {"on": "push", "branches": ["main"]},
        {"on": "pull_request", "branches": []},
    ]
    assert found["queue"].triggers is None
    assert found["broken"].error.where() == ".staunch/broken.py:3"
    assert found["broken"].error.type == "ZeroDivisionError"
    assert found["cut"].error.where() == ".staunch/cut.py:2"
    assert found["cut"].error.type == "SyntaxError"
    assert found["plain"].error.message == (
        ".staunch/plain.py has a `run` that is not an `async def run(event, step)`"
    )
    assert found["leaves"].error.type == "SystemExit"


def test_the_single_file_is_a_pipeline_too(host):
    prepared = host.prepare(Bundle(files={".staunch.py": plan("return 5")}))
    assert [(one.name, one.file) for one in prepared.pipelines] == [("pipeline", ".staunch.py")]
    tenant = host.load(prepared, ".staunch.py", run=RUN, seed="s", at=BEGIN)
    first = TurnInputs([TimedInput(1, BEGIN, started(".staunch.py"))])
    [outcome] = tenant.advance([first])
    tenant.close()
    assert outcome.end.output == 5


def test_loading_a_broken_file_fails_with_its_line(host):
    prepared = host.prepare(Bundle(files={FILE: "import nothing\n"}))
    with pytest.raises(TenantFailed) as caught:
        host.load(prepared, FILE, run=RUN, seed="s", at=BEGIN)
    assert caught.value.failure.where() == ".staunch/pipeline.py:1"
    assert caught.value.failure.type == "ModuleNotFoundError"


def test_a_pipeline_with_other_parameters_fails_when_it_starts(host):
    end = Play(host, "async def run():\n    pass\n").start()
    assert end.end.error.type == "TypeError"


def test_a_cancel_request_ends_a_run_as_cancelled(host):
    run = Play(host, plan("await step.job('a', 'x')"))
    run.start()
    end = run.turn(cancel())
    assert end.end.state == "cancelled"
    assert end.open.jobs == [OpenJob(key="a", attempt=1, cancelling=True)]


LATE_TOP = """
run_timeout("1h")
CELLS = matrix(python=["3.13", "3.14"], os=["debian"])

async def undo(step, result):
    step.set(f"undoing {result}", done=1, total=2)
    await step.job("undo", run="x")

def busy(tries=[]):
    tries.append(1)
    if len(tries) == 1:
        raise RetryAfter("30s", "busy")
    return "secret"
"""

LATE = """
await step.do("token", busy, retries=Retry(1), sensitive=True, rollback=undo)
again = Retry(2, backoff=lambda attempt: 5 * attempt)
jobs = [step.job(cell.name, "x", retries=again, rollback=undo) for cell in CELLS]
await step.parallel(*jobs, limit=1)
await step.sleep("long", "2h")
"""


def test_a_late_run_is_undone_in_every_sandbox_and_replays(host):
    play = Play(host, plan(LATE, LATE_TOP))
    play.start()
    play.wake()
    for cell in ("python=3.13,os=debian", "python=3.14,os=debian"):
        play.job(cell, Outcome.LOST)
        play.wake()
        play.job(cell, attempt=2)
    assert play.wake().commands[0].key == "python=3.14,os=debian/rollback"
    for key in ("python=3.14,os=debian", "python=3.13,os=debian", "token"):
        end = play.job(f"{key}/rollback/undo")
    assert end.end.error.type == "RunTimedOut"
    replayed = play.replayed()
    assert [o.digest for o in replayed] == [o.digest for _, o in play.made]
    assert [o.note for o in replayed] == [o.note for _, o in play.made]
    assert play.made[-2][1].note.words() == "undoing secret (1 of 2)"


def test_prepared_code_is_bound_to_bundle_and_image(host):
    bundle = Bundle(files={FILE: plan("pass")})
    prepared = host.prepare(bundle)
    assert prepared.bundle == bundle.digest()
    assert prepared.image == host.image_digest
    assert prepared.digest() == host.prepare(bundle).digest()
    assert host.boot
