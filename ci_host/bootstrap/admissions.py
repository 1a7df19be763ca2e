"""Who judges pull requests, put together for the process that begins Runs and for the one that
answers people."""

import time

import httpx2

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.source import GitSource
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.trust import NatsTrust
from ci_host.engine.admissions import Admissions
from webhooks.inquiry import Inquiry


def admissions_of(
    bus: Bus, directory: Directory, mirrors: Mirrors, client: httpx2.AsyncClient
) -> Admissions:
    """`client`: to ask Forges with."""
    inquiry = Inquiry(directory, client, now=time.time)
    return Admissions(NatsTrust(bus), inquiry, GitSource(mirrors), now=time.time)
