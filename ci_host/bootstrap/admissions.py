"""Who judges pull requests, put together for the process that begins Runs and for the one that
answers people."""

import time

import httpx2

from ci_host.adapters.git.source import GitSource
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.trust import NatsTrust
from ci_host.engine.admissions import Admissions
from webhooks.github.app import AppTokens
from webhooks.inquiry import Inquiry


def admissions_of(
    bus: Bus,
    directory: Directory,
    source: GitSource,
    client: httpx2.AsyncClient,
    apps: AppTokens,
) -> Admissions:
    """`client`: to ask Forges with; `apps`: as whom, where that is a GitHub App."""
    inquiry = Inquiry(directory, client, apps, now=time.time)
    return Admissions(NatsTrust(bus), inquiry, source, now=time.time)
