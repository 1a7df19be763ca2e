"""Allowance: how much memory and disk one job may use here. What watches it is `watchdog`."""

import os

import msgspec

from pipelines.job import JobRequest
from runners.ports import Refused

GIB = 1_073_741_824
DISK_GB_DEFAULT = 20.0
# What is left is for the machine itself: a job that takes all takes the others along.
PART_OF_MEMORY = 0.75


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a job gets, and gets if it asks for nothing. In bytes."""

    memory_bytes: int
    disk_bytes: int


def allowance_of(memory_gb: float = 0.0, disk_gb: float = DISK_GB_DEFAULT) -> Allowance:
    """In GiB; a memory of 0: most of what this machine has."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    memory = int(memory_gb * GIB) if memory_gb else int(whole * PART_OF_MEMORY)
    return Allowance(memory_bytes=memory, disk_bytes=int(disk_gb * GIB))


def granted(request: JobRequest, allowance: Allowance) -> Allowance:
    """What this job gets. Raises Refused where it asks for more than there is."""
    for what, asked, most in (
        ("memory", request.memory_bytes, allowance.memory_bytes),
        ("disk", request.disk_bytes, allowance.disk_bytes),
    ):
        if asked > most:
            raise Refused(
                f"the job asks for {asked >> 20:,} MiB of {what}, and a job of this runner may have"
                f" {most >> 20:,} MiB (--{what}-gb); ask for less, or for another pool"
            )
    return Allowance(
        memory_bytes=request.memory_bytes or allowance.memory_bytes,
        disk_bytes=request.disk_bytes or allowance.disk_bytes,
    )
