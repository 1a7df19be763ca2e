"""Sandboxes in several threads: equal traces, and no thread's trouble in another's."""

from dataclasses import replace

import pytest

from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import TenantFailed
from ci_host.tenant.threads import sandbox_threads
from tests.tenants import Play, finished, plan

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
