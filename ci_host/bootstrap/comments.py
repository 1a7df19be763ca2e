"""What is written under pull requests, put together for the process that begins Runs, and for the
one that tells Forges."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import httpx2

from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.comments import NatsComments, comments_of
from ci_host.adapters.nats.directory import Directory
from ci_host.comment_ports import LogTails
from ci_host.engine.comment_delivery import CommentDelivery
from ci_host.engine.pull_reports import PullReports
from ci_host.ports import HistoryStore
from ci_host.settings import Settings, may_comment
from webhooks.commenter import Commenter, has_comments
from webhooks.forge import Connections
from webhooks.github.app import AppTokens

NEW_CONNECTIONS_S = 1.0


def reports_of(
    bus: Bus, connections: Connections, history: HistoryStore, settings: Settings
) -> PullReports:
    """Where is kept what comments are made of."""
    return PullReports(NatsComments(bus), history, partial(writes, connections, settings))


def writes(connections: Connections, settings: Settings, at: str, repo: str, name: str) -> bool:
    """Whether a pull request of this Repo has a comment of ours: not where there are checks."""
    known = connections.find(at)
    if known is None or known.app or not has_comments(known):
        return False
    return may_comment(settings.no_comments, at, repo, name)


def answers(connections: Connections, settings: Settings, at: str, repo: str, name: str) -> bool:
    """Whether commands are answered there."""
    is_possible = has_comments(connections.find(at))
    return is_possible and may_comment(settings.no_comments, at, repo, name)


async def deliver_comments(
    bus: Bus,
    directory: Directory,
    settings: Settings,
    tails: LogTails,
    client: httpx2.AsyncClient,
    dice: Callable[[], float],
) -> None:
    """One delivery for each Connection, also for those that are added later."""
    apps = AppTokens(client, time.time)
    sender = Commenter(directory, client, apps, now=time.time, dice=dice)
    served: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            for connection in set(directory.connections) - served:
                if has_comments(directory.find(connection)):
                    served.add(connection)
                    wanted = partial(writes, directory, settings)
                    queue = comments_of(bus, connection, directory.name_of)
                    delivery = CommentDelivery(queue, sender, tails, wanted, time.monotonic)
                    group.create_task(delivery.serve())
            await asyncio.sleep(NEW_CONNECTIONS_S)
