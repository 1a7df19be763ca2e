"""Marks: each start of a process, told once on the bus; timelines show them as restarts."""

import time

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus


async def mark_start(bus: Bus, role: str, incarnation: str) -> None:
    """Tell that a process of this role has begun. Durable when it returns."""
    body = {"role": role, "incarnation": incarnation, "at": time.time()}
    await bus.publish(subjects.host(role, incarnation), msgspec.json.encode(body))
