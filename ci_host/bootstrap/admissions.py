"""Who judges pull requests, put together for the process that begins Runs and for the one that
answers people."""

import time

import httpx2

from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.trust import NatsTrust
from ci_host.engine.admissions import Admissions
from ci_host.engine.named_pulls import NamedPulls
from ci_host.engine.renames import Renames
from ci_host.ports import Source
from webhooks.github.app import AppTokens
from webhooks.inquiry import Inquiry


def admissions_of(
    bus: Bus,
    directory: Directory,
    source: Source,
    client: httpx2.AsyncClient,
    apps: AppTokens,
    renames: Renames | None = None,
) -> Admissions:
    """`client`: to ask Forges with; `apps`: as whom, where that is a GitHub App. `renames`: where
    commands are obeyed."""
    inquiry = Inquiry(directory, client, apps, now=time.time)
    pulls = inquiry if renames is None else NamedPulls(inquiry, renames)
    return Admissions(NatsTrust(bus), pulls, source, now=time.time)
