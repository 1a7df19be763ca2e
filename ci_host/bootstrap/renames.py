"""Who has names of Repos follow their Forges, put together."""

import time

import httpx2

from ci_host.adapters.nats.audit import NatsAudit
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.secrets import NatsSecrets
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.adapters.nats.trust import NatsTrust
from ci_host.engine.owner_settings import KeptOwnerSettings
from ci_host.engine.renames import Renames
from webhooks.github.app import AppTokens
from webhooks.names import ForgeNames


def renames_of(
    bus: Bus, directory: Directory, client: httpx2.AsyncClient, apps: AppTokens
) -> Renames:
    """`client`: to ask Forges with; `apps`: as whom, where that is a GitHub App."""
    return Renames(
        ForgeNames(directory, client, apps, now=time.time),
        NatsCatalog(bus),
        # Of secrets the names of those whose they are, and no value.
        KeptOwnerSettings(NatsSecrets(bus), NatsTrust(bus)),
        NatsAudit(bus),
        now=time.time,
        elapsed=time.monotonic,
    )
