"""Permissions: what each route of API and pages takes, and where: one table. Pure.

`auth.py` asks it for every request. A route that is not in it is closed to whoever sees only some
repositories, and a test demands that each is.
"""

from dataclasses import dataclass
from enum import StrEnum

from ci_host.access import Level

SOCKET = "WS"


class Place(StrEnum):
    """How the repository is found that a request is about.

    RUN, JOB: by the id in the path. REPO: by `repo` in path, query or body. LIST: it is about
    several; its route leaves out what may not be seen. REPO_OR_LIST, REPO_OR_HERE: as REPO if one
    is named, else as LIST or HERE. HERE: about the installation as a whole. SELF: about who asks.
    OPEN: nobody need log in.
    """

    RUN = "run"
    JOB = "job"
    REPO = "repo"
    LIST = "list"
    REPO_OR_LIST = "repo or list"
    REPO_OR_HERE = "repo or here"
    HERE = "here"
    SELF = "self"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Need:
    """What a route takes, and where."""

    level: Level
    place: Place


def _all(level: Level, place: Place, *routes: str) -> dict[str, Need]:
    return dict.fromkeys(routes, Need(level, place))


API = "/api/v1"

NEEDS: dict[str, Need] = {
    **_all(
        Level.READ,
        Place.OPEN,
        "POST /hooks/{connection_id}",
        "POST /hooks/{connection_id}/{repo_id}",
        "GET /.well-known/openid-configuration",
        "GET /.well-known/jwks.json",
        f"GET {API}/openapi.json",
        f"HEAD {API}/openapi.json",
        f"GET {API}/alive",
        f"GET {API}/ready",
        f"POST {API}/logins",
        f"POST {API}/logins/claim",
        "GET /login",
        "POST /login",
        "GET /login/{connection}",
        "GET /login/{connection}/callback",
        # What it shows to whom says the repository's own rule, see `ci_host/badge.py`.
        "GET /badge/{name:path}.svg",
    ),
    **_all(
        Level.READ,
        Place.SELF,
        f"GET {API}/whoami",
        f"DELETE {API}/tokens/me",
        "GET /docs/api",
        "POST /logout",
        f"GET {API}/views",
        f"PUT {API}/views",
        f"DELETE {API}/views",
        "POST /views",
        "POST /views/delete",
        "GET /let-in/{code}",
        "POST /let-in/{code}",
    ),
    **_all(
        Level.READ,
        Place.RUN,
        f"GET {API}/runs/{{run}}",
        f"GET {API}/runs/{{run}}/wait",
        f"GET {API}/runs/{{run}}/failure",
        f"GET {API}/runs/{{run}}/history",
        f"GET {API}/runs/{{run}}/export",
        f"GET {API}/runs/{{run}}/tests",
        f"GET {API}/runs/{{run}}/coverage",
        f"GET {API}/runs/{{run}}/artifacts",
        "GET /runs/{run}",
        "GET /runs/{run}/fragment",
        "GET /runs/{run}/live",
    ),
    **_all(
        Level.ACT,
        Place.RUN,
        *(
            f"POST {API}/runs/{{run}}/{act}"
            for act in (
                "cancel",
                "pause",
                "resume",
                "kill",
                "signals",
                "rerun",
                "fork",
                "gates/{key:path}",
                "steps/{key:path}/retry",
            )
        ),
        *(
            f"POST /runs/{{run}}/{act}"
            for act in ("cancel", "pause", "resume", "kill", "gates", "retry", "again")
        ),
    ),
    **_all(
        Level.READ,
        Place.JOB,
        f"GET {API}/jobs/{{job}}/log",
        f"GET {API}/jobs/{{job}}/log/lines",
        f"GET {API}/jobs/{{job}}/log/outline",
        f"GET {API}/jobs/{{job}}/log/search",
        f"GET {API}/jobs/{{job}}/log/stream",
        f"GET {API}/jobs/{{job}}/artifacts/{{name}}",
        f"GET {API}/jobs/{{job}}/artifacts/{{name}}/tar",
    ),
    **_all(
        Level.ACT,
        Place.JOB,
        f"{SOCKET} {API}/jobs/{{job}}/shell",
        f"POST {API}/jobs/{{job}}/shell/end",
    ),
    **_all(
        Level.READ,
        Place.REPO,
        f"GET {API}/tests",
        f"GET {API}/trust/explain",
        f"GET {API}/badges",
        f"GET {API}/branches",
        f"GET {API}/branches/health",
        "GET /repos/{repo:path}",
    ),
    **_all(
        Level.ACT,
        Place.REPO,
        f"POST {API}/runs",
        f"POST {API}/schedules/pause",
        f"POST {API}/schedules/resume",
        f"POST {API}/schedules/run-now",
        f"POST {API}/trust/approvals",
        f"PUT {API}/secrets/public-key",
        "POST /schedules/{act}",
        "POST /trust/approve",
    ),
    **_all(
        Level.ADMIN,
        Place.REPO,
        f"PUT {API}/badges",
        "POST /badges",
        f"PUT {API}/environments",
        f"DELETE {API}/environments",
        f"POST {API}/secrets/public-key/rotate",
        f"POST {API}/secrets/public-key/drop-older",
    ),
    **_all(
        Level.ADMIN,
        Place.REPO_OR_HERE,
        f"PUT {API}/secrets",
        f"DELETE {API}/secrets",
        f"PUT {API}/limits",
        f"DELETE {API}/limits",
    ),
    **_all(
        Level.READ,
        Place.LIST,
        f"GET {API}/runs",
        f"GET {API}/repos",
        f"GET {API}/connections",
        f"GET {API}/deliveries",
        f"GET {API}/statuses/untold",
        f"GET {API}/gates",
        f"GET {API}/environments",
        f"GET {API}/limits",
        f"GET {API}/secrets",
        f"GET {API}/trust/policies",
        f"GET {API}/trust/held",
        "GET /",
        "GET /fragment",
        "GET /live",
        "GET /deliveries",
        "GET /repos",
        "GET /inbox",
        "GET /inbox/count",
        "GET /trust",
        "GET /secrets",
    ),
    **_all(
        Level.READ,
        Place.REPO_OR_LIST,
        f"GET {API}/schedules",
        f"GET {API}/events",
        f"GET {API}/events/stream",
        "GET /schedules",
    ),
    **_all(
        Level.READ,
        Place.HERE,
        f"GET {API}/queue",
        f"GET {API}/queue/jobs",
        "GET /runners",
        f"GET {API}/pools",
        f"GET {API}/runners",
        f"GET {API}/runners/registered",
        "GET /metrics",
    ),
    **_all(
        Level.ADMIN,
        Place.HERE,
        f"POST {API}/runs/import",
        f"POST {API}/secrets/rotate-key",
        f"PUT {API}/pools/{{pool}}",
        f"DELETE {API}/pools/{{pool}}",
        f"PUT {API}/trust/policies",
        f"DELETE {API}/trust/policies",
        f"POST {API}/runners/invitations",
        f"POST {API}/runners/{{runner}}/revoke",
        f"POST {API}/runners/{{runner}}/drain",
        f"POST {API}/runners/{{runner}}/resume",
        "POST /runners/drain",
        "POST /deliveries/replay",
        "POST /statuses/again",
        f"POST {API}/statuses/untold/again",
        f"POST {API}/tokens-key/rotate",
        f"GET {API}/delivery",
        f"POST {API}/delivery/replay",
        f"POST {API}/connect",
        f"PUT {API}/connections",
        f"PUT {API}/repos",
        f"GET {API}/tokens",
        f"GET {API}/audit",
        f"GET {API}/installation",
        "GET /audit",
        "GET /settings",
        "GET /tokens",
        "POST /tokens",
        "POST /tokens/revoke",
        f"POST {API}/tokens",
        f"POST {API}/tokens/{{token}}/revoke",
        f"GET {API}/subscriptions",
        f"POST {API}/subscriptions",
        f"DELETE {API}/subscriptions/{{subscription}}",
        f"POST {API}/subscriptions/{{subscription}}/resume",
        f"POST {API}/subscriptions/{{subscription}}/rotate-secret",
        f"POST {API}/subscriptions/{{subscription}}/ping",
    ),
}

# What nobody thought of is the administrators'.
UNLISTED = Need(Level.ADMIN, Place.HERE)


def need_of(method: str, path: str) -> Need:
    """What a route takes, by its method (SOCKET for a WebSocket) and its path as it is declared."""
    return NEEDS.get(f"{method} {path}", UNLISTED)
