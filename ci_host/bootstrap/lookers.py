"""Lookers: those who look for what no webhook told of, put together."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.refs import GitRefs
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.sights import NatsHearsay, NatsSights
from ci_host.adapters.nats.stores import NatsInbox
from ci_host.bootstrap.fetch_tokens import FetchTokens
from ci_host.engine.attention import Attention
from ci_host.engine.change_lists import ChangeLists
from ci_host.engine.reconciler import GRACE_S, Reconciler
from ci_host.engine.redeliveries import Redeliveries
from ci_host.engine.ref_news import RefNews
from ci_host.engine.renames import Renames
from ci_host.settings import Settings
from pipelines.repo import Repo
from webhooks.changes import Changes
from webhooks.github.app import AppTokens
from webhooks.inquiry import Inquiry
from webhooks.missed_calls import MissedCalls


class Lookers:
    """What those who look share: one HTTP client, and what is registered."""

    def __init__(
        self,
        bus: Bus,
        directory: Directory,
        client: httpx2.AsyncClient,
        apps: AppTokens,
        renames: Renames,
    ) -> None:
        self._bus, self._directory, self._renames = bus, directory, renames
        self._client, self._apps = client, apps

    def of(
        self,
        settings: Settings,
        attention: Attention,
        mirrors: Path,
        registered: Callable[[Repo], Registered],
        tokens: FetchTokens,
    ) -> list[Reconciler | Redeliveries]:
        """None where nobody wants them. `registered`: see GitRefs."""
        if settings.reconcile_s == 0:
            return []
        directory = self._directory
        calls = MissedCalls(self._client, settings.url, now=time.time)
        again = Redeliveries(calls, directory.repos, directory.connections, now=time.time)
        lists = ChangeLists(
            Changes(directory, self._client, self._apps, now=time.time),
            directory.repos,
            attention,
            interval_s=settings.reconcile_s,
            elapsed=time.monotonic,
        )

        def missed(repo: str) -> None:
            again.suspect(repo)
            lists.doubt(repo)

        reconciler = Reconciler(
            GitRefs(mirrors, registered, renew=tokens.renew),
            Inquiry(directory, self._client, self._apps, now=time.time),
            self._news(settings, missed),
            NatsSights(self._bus),
            directory.repos,
            directory.connections,
            attention,
            lists,
            self._renames,
            interval_s=settings.reconcile_s,
            now=time.time,
            elapsed=time.monotonic,
        )
        return [reconciler, again]

    def _news(self, settings: Settings, missed: Callable[[str], None]) -> RefNews:
        return RefNews(
            NatsSights(self._bus),
            NatsHearsay(self._bus),
            NatsInbox(self._bus),
            self._renames.check,
            missed=missed,
            grace_s=min(GRACE_S, settings.reconcile_s),
            now=time.time,
            elapsed=time.monotonic,
        )
