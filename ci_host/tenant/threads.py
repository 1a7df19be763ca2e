"""Sandbox threads: the threads that may enter a sandbox. All have the stack that this needs."""

import threading
from concurrent.futures import ThreadPoolExecutor

from ci_host.tenant.limits import STACK_BYTES


def sandbox_threads(count: int) -> ThreadPoolExecutor:
    """An executor whose threads exist already, each with STACK_BYTES of stack.

    The stack's size is set for the whole process while they start, and put back: an executor that
    starts its threads when it needs them would not have it.
    """
    assert count >= 1
    executor = ThreadPoolExecutor(count, thread_name_prefix="sandbox")
    before = threading.stack_size(STACK_BYTES)
    everyone = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            executor.submit(everyone.wait)
        everyone.wait()
    finally:
        threading.stack_size(before)
    return executor
