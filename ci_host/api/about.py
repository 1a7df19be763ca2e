"""Routes of what this installation is: versions, settings that are no secret, connections.

What may hold a secret is shown without it: of addresses neither user nor password nor query.
"""

import asyncio
import platform
from collections import Counter
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter

from ci_host.adapters.sql.process_starts import newest_starts
from ci_host.adapters.sql.tables import VERSION
from ci_host.api import views
from ci_host.api.auth import Admin, Here
from ci_host.api.services import Services
from ci_host.settings import Settings
from pipelines.codec import CODEC

DISTRIBUTION = "staunch-ci"
EMBEDDED = "embedded"
# Whoever adds a setting decides here whether administrators may read it in a browser.
SHOWN = (
    *("data", "cache", "nats_replicas", "nats_port", "nats_server", "http_host", "http_port"),
    *("shards", "engines", "hibernate", "slots", "pool", "volumes", "egress", "artifacts_days"),
    *("logs_days", "cache_bytes", "runners_listen", "runners_address", "reconcile_s"),
    *("no_comments", "any_event"),
)
# Addresses, which may hold a key: they are shown without it, and under these names.
ADDRESSES = {"nats_url": "nats", "blobs": "blobs", "base_url": "url"}
# Nobody's choice: a file between one command and its own installation.
NOT_SHOWN = ("opening",)

router = APIRouter(prefix="/api/v1", tags=["installation"])


@router.get("/installation", summary="What this installation runs with")
async def show_installation(here: Here, _who: Admin) -> dict[str, Any]:
    """`settings` as they were given at the start, without what is a secret. Of a connection,
    `trouble` says why its refs are not compared."""
    return await about(here)


async def about(here: Services) -> dict[str, Any]:
    """All of it, as of now. Raises Unavailable."""
    starts = await asyncio.to_thread(newest_starts, here.model)
    return {
        "versions": {
            "staunch": version(DISTRIBUTION),
            "python": platform.python_version(),
            "nats_server": here.bus.server_version(),
            "history_codec": CODEC,
            "read_model": VERSION,
        },
        "processes": [views.start_view(row) for row in starts],
        "settings": settings_shown(here.settings),
        "connections": await _connections(here),
        "limits": [
            {"pool": one.pool, "repo": _name(here, one.repo), "at_once": one.at_once}
            for one in await here.catalog.limits()
            if one.at_once is not None
        ],
    }


def settings_shown(settings: Settings) -> dict[str, Any]:
    """By name; what is an address without what lets somebody in."""
    given = msgspec.to_builtins(settings, enc_hook=str)
    nats = [bare(one) for one in (settings.nats_url or "").split(",") if one.strip()]
    return {
        **{name: given[name] for name in SHOWN},
        "url": settings.url,
        "nats": ", ".join(nats) or EMBEDDED,
        "blobs": bare(settings.blobs_url),
    }


def bare(address: str) -> str:
    """An address without user, password, query and fragment."""
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(an address that cannot be read)"
    host = f"[{host}]" if ":" in host else host
    place = f"{host}:{port}" if port else host
    if not parts.scheme or not (host or parts.path):
        return "(an address that cannot be read)"
    return f"{parts.scheme}://{place}{parts.path}"


async def _connections(here: Services) -> list[dict[str, Any]]:
    count = Counter(repo.connection for repo in here.directory.repos.values())
    told = {one.subject: one for one in await here.sights.not_compared()}
    found = []
    for one in sorted(here.directory.connections.values(), key=lambda each: each.id):
        why = told.get(one.id)
        shown = views.connection_view(one, here.settings.url)
        found.append(
            {
                **shown,
                "api_url": bare(one.api_url) if one.api_url else "",
                "repos": count[one.id],
                "trouble": why.reason if why else None,
                "since": why.since if why else None,
            }
        )
    return found


def _name(here: Services, repo: str) -> str:
    known = here.directory.repos.get(repo)
    return known.name if known else repo
