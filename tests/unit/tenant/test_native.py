"""The in-process kind of guest borrows what is the whole process's, and gives it back."""

import os
import random
import sys

from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.native import NativeImage
from ci_host.tenant.threads import sandbox_threads
from tests.tenants import Play, plan

BODY = """
import time
seen = []
for number in range(20):
    print("here", number)
    seen.append(random.random())
return seen
"""


def played(number: int) -> list[float]:
    host = TenantHost(NativeImage(), Limits(blanks=0))
    end = Play(host, plan(BODY), seed=str(number % 2)).start().end
    host.close()
    return end.output


def borrowed() -> list[object]:
    return [sys.stdout, sys.stderr, list(sys.meta_path), os.urandom, random.random]


def test_many_images_in_many_threads_leave_the_process_as_it_was() -> None:
    before = borrowed()
    with sandbox_threads(4) as threads:
        seen = list(threads.map(played, range(60)))
    assert borrowed() == before
    assert seen == [seen[0], seen[1]] * 30
