"""Sandboxes in several threads: equal traces, and no thread's trouble in another's."""

from dataclasses import replace

import pytest

from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import TenantFailed, TimedInput, TurnInputs
from ci_host.tenant.threads import sandbox_threads
from pipelines.bundle import Bundle
from tests.tenants import FILE, RUN, Play, finished, plan, started

pytestmark = pytest.mark.sandbox

BODY = """
import uuid, os, time
seen = [random.random(), str(uuid.uuid4()), os.urandom(3).hex(), time.time(), id(step)]
for _ in range(3):
    await step.job("a", run="x")
    await asyncio.sleep(1)
    seen.append(time.time())
return seen
"""


def outcomes(host):
    run = Play(host, plan(BODY))
    run.start()
    for key in ("a", "a#2", "a#3"):
        run.job(key)
        run.wake()
    run.tenant.close()
    return [outcome for _, outcome in run.made]


def test_tenants_in_four_threads_are_equal(wasm_image):
    host = TenantHost(wasm_image, replace(Limits(), blanks=2))
    with sandbox_threads(4) as threads:
        host.refill()
        futures = [threads.submit(outcomes, host) for _ in range(24)]
        answers = [future.result() for future in futures]
    host.close()
    assert answers[0][-1].end.state == "succeeded"
    assert all(answer == answers[0] for answer in answers)


class CountedImage:
    """A GuestImage that counts what it boots."""

    def __init__(self, image):
        self.digest, self.boot_kind = image.digest, image.boot_kind
        self.count = 0
        self._image = image

    def boot(self):
        self.count += 1
        return self._image.boot()


def test_a_run_whose_code_was_loaded_in_advance_is_equal(wasm_image):
    image = CountedImage(wasm_image)
    host = TenantHost(image, replace(Limits(), blanks=0))
    answers = [outcomes(host)]
    for _ in range(3):
        host.refill()
        answers.append(outcomes(host))
    host.close()
    assert image.count == 2 * 4, "each prepares in one; the first loads in another, the rest primes"
    assert answers[0][-1].end.state == "succeeded"
    assert all(answer == answers[0] for answer in answers)


def test_code_that_looks_at_the_clock_when_imported_sees_its_runs_time(wasm_image):
    host = TenantHost(wasm_image, replace(Limits(), blanks=0))
    source = plan("return BEGAN", "import time\nBEGAN = time.time()")
    prepared = host.prepare(Bundle(files={FILE: source}))
    seen = []
    for at in (1e9, 2e9):
        host.refill()
        tenant = host.load(prepared, FILE, run=RUN, seed="seed", at=at)
        (outcome,) = tenant.advance([TurnInputs([TimedInput(1, at, started())])])
        seen.append(outcome.end.output)
        tenant.close()
    host.close()
    assert seen == [1e9, 2e9]


def test_a_tenant_that_traps_does_not_disturb_its_neighbours(wasm_image):
    host = TenantHost(wasm_image, Limits())

    def trap():
        with pytest.raises(TenantFailed):
            Play(host, plan("import os\nos._exit(1)")).start()

    with sandbox_threads(2) as threads:
        traps = [threads.submit(trap) for _ in range(10)]
        runs = [threads.submit(outcomes, host) for _ in range(10)]
        for future in traps:
            future.result()
        assert all(future.result()[-1].end.state == "succeeded" for future in runs)
    host.close()


def test_a_closed_tenant_may_be_closed_again(wasm_image):
    host = TenantHost(wasm_image, Limits())
    run = Play(host, plan("await step.job('a', 'x')"))
    run.start()
    run.tenant.close()
    run.tenant.close()
    with pytest.raises(AssertionError, match="closed"):
        run.turn(finished("a"))
    host.close()
