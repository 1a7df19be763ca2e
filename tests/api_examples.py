"""The examples in the API's description: recorded of an installation that has a Run at a gate.

`python -m tests.api_examples` records them anew; read what git says has changed.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ci_host.api.app import create_app
from ci_host.api.examples import FILE, JSON
from ci_host.status_ports import Untold
from pipelines.schedule import Entry, Schedule, Timetable
from pipelines.status import Status, StatusState
from tests.engine.world import COMMIT
from tests.web.installation import Installation, installation
from tests.web.stores import NOW

LIST_MAX = 2
VERIFIER = "v" * 43
# Where an installation keeps its data, in place of where this one does.
DATA = "/var/lib/staunch"
TEXT_CHARS_MAX = 200
# What comes with no end.
WITHOUT = {"GET /api/v1/runs/{run}/wait"}
OTHER_RUN = "3-723aaf9386150b37754d"
RUNNER = {
    "runner": "build-5f3c", "pool": "gpu", "state": "joined", "single": False, "invited_by": "ada",
    "invited_at": 1_795_771_000.0, "invited_until": 1_795_774_600.0, "joined_at": 1_795_771_060.0,
    "revoked_by": "", "revoked_at": None, "heard_at": None,
}  # fmt: skip
# What needs an engine, a forge or a runner that are not here: by hand.
BY_HAND: dict[str, Any] = {
    "POST /api/v1/runs": {"runs": [OTHER_RUN], "told": ""},
    "GET /api/v1/runs/{run}/wait": {"run": OTHER_RUN, "state": "succeeded", "over": True},
    "POST /api/v1/runs/{run}/gates/{key}": {
        "run": OTHER_RUN, "gate": "go-live", "approved": True, "by": "ada",
    },
    "POST /api/v1/runs/{run}/steps/{key}/retry": {"run": OTHER_RUN, "step": "deploy", "attempt": 2},
    "POST /api/v1/runs/{run}/rerun": {
        "run": OTHER_RUN, "attempt": 2, "of": "1-272127f0df6f0cccc497", "recalled": 3,
    },
    "POST /api/v1/runs/{run}/fork": {
        "run": OTHER_RUN, "of": "1-272127f0df6f0cccc497", "recalled": 0,
    },
    "POST /api/v1/runs/import": {"run": OTHER_RUN, "state": "failed"},
    "GET /api/v1/jobs/{job}/artifacts/{name}": {
        "job": f"{OTHER_RUN}.build.1", "name": "dist", "size": 5_000_000,
        "entries": [
            {"type": "file", "path": "shop.whl", "size": 5_000_000, "executable": False}
        ],
    },
    # What the others ask with is no command line's.
    "DELETE /api/v1/tokens/me": {
        "id": "5d41402abc4b", "name": "ada", "teams": ["ops"], "admin": False, "scope": "act",
        "repos": [], "created_at": 1_795_771_000.0, "expires_at": 1_798_363_000.0, "revoked": True,
        "by": "ada, for adas-laptop", "with": [],
    },
    "POST /api/v1/jobs/{job}/shell/end": {"job": f"{OTHER_RUN}.build.1", "by": "ada"},
    "POST /api/v1/trust/approvals": {
        "repo": "acme/shop", "number": 7, "commit": COMMIT, "title": "Faster checkout",
        "author": "sam", "base": "main", "why": "nobody knows its author", "at": 1_795_771_686.4,
        "runs": [OTHER_RUN],
    },
    "GET /api/v1/trust/explain": {
        "repo": "acme/shop", "number": 7,
        "verdict": {
            "tier": "untrusted", "admission": "approval", "why": "nobody knows its author",
            "author": "unknown", "scope": "", "by": "", "base": "",
        },
        "policy": {
            "scope": "", "repo": None, "members": "base", "strangers": "base",
            "newcomers": "approval", "approvers": [], "by": "", "at": 0.0,
        },
        "facts": {
            "head_repo": "99", "base_repo": "42", "base_ref": "main", "head_commit": COMMIT,
            "author": "unknown", "login": "sam", "is_open": True, "head_ref": "faster",
        },
        "approval": None,
    },
    "GET /api/v1/delivery": {
        "id": "d-1", "connection": "hub", "event": "push", "state": "failed", "runs": [],
        "reason": "the forge does not answer", "received_at": 1_795_771_686.4, "kind": "github",
        "body": '{"ref":"refs/heads/main"}', "is_cut": False,
    },
    "POST /api/v1/delivery/replay": {
        "of": "d-1", "connection": "hub", "id": "replay-5f3c", "state": "started", "reason": "",
        "runs": [OTHER_RUN], "at": 1_795_771_690.1,
    },
    "POST /api/v1/runners/invitations": RUNNER
    | {"state": "invited", "joined_at": None, "join": "stj_5f…"},
    "POST /api/v1/runners/{runner}/drain": RUNNER | {"state": "draining"},
    "POST /api/v1/runners/{runner}/resume": RUNNER,
    "POST /api/v1/runners/{runner}/revoke": RUNNER
    | {"state": "revoked", "revoked_by": "ada", "revoked_at": 1_795_771_690.1},
    "POST /api/v1/connect": {
        "connection": "hub", "repo": "acme/shop", "external_id": "1296269",
        "clone_url": "https://github.com/acme/shop.git",
        "webhook": "https://ci.example/hooks/hub/1296269",
        "hook": "made", "arrived": True, "tested": "it sent a ping, and it arrived", "missing": [],
    },
}  # fmt: skip
# What each field of a request may be.
FIELDS: dict[str, Any] = {
    "repo": "acme/shop", "repos": ["acme/shop"], "connection": "hub", "name": "go-live",
    "commit": COMMIT, "ref": "refs/heads/main", "pipeline": "pipeline", "inputs": {"percent": 25},
    "approved": True, "comment": "looks good", "key": "deploy-42", "id": "hub", "kind": "github",
    "url": "https://chat.example/hooks/ci", "kinds": ["run.finished"], "payload": {"ok": True},
    "external_id": "1296269", "clone_url": "https://github.com/acme/shop.git", "number": 7,
    "value": "correct horse battery", "environment": "production", "pool": "default", "at_once": 2,
    "refs": ["refs/heads/main"], "scope": "", "challenge": "0" * 64, "machine": "adas-laptop",
    "code": "BCDF-GHJK", "verifier": VERIFIER, "labels": ["gpu"], "tier": "trusted",
    "from_step": "", "priority": "high", "days": 30, "teams": ["ops"], "api_url": "",
}  # fmt: skip


Act = tuple[str, str, dict[str, Any]]
NIGHTLY = {"repo": "demo", "name": "pipeline/nightly"}
DEMO = {"repo": "demo"}
# Done first, in this order, so that there is something to read.
ACTS: list[Act] = [
    (
        "PUT",
        "/api/v1/environments",
        {"environment": "production", "repo": "demo", "refs": ["main"]},
    ),
    ("PUT", "/api/v1/badges", {"repo": "demo", "public": True, "with_key": False}),
    (
        "PUT",
        "/api/v1/views",
        {"name": "My failures", "filters": {"state": "failed", "since": "7d"}},
    ),
    ("PUT", "/api/v1/limits", {"pool": "default", "at_once": 4}),
    ("PUT", "/api/v1/pools/{pool}", {"labels": ["gpu"]}),
    (
        "PUT",
        "/api/v1/secrets",
        {"name": "DEPLOY_KEY", "repo": "demo", "value": "correct horse battery"},
    ),
    ("POST", "/api/v1/tokens", {"name": "ada", "teams": ["ops"], "days": 30}),
    (
        "POST",
        "/api/v1/subscriptions",
        {"id": "chat", "url": "https://chat.example/hooks/ci", "kinds": ["run.finished"]},
    ),
    ("PUT", "/api/v1/trust/policies", {"scope": "git", "newcomers": "refuse"}),
    ("POST", "/api/v1/runs/{run}/signals", {"name": "ready", "payload": {"ok": True}}),
    ("POST", "/api/v1/runs/{run}/pause", {"reason": "a freeze"}),
    ("POST", "/api/v1/runs/{run}/resume", {"reason": "the freeze is over"}),
    (
        "POST",
        "/api/v1/logins",
        {"challenge": sha256(VERIFIER.encode()).hexdigest(), "machine": "adas-laptop"},
    ),
    ("PUT", "/api/v1/secrets/public-key", DEMO),
]
# Done last: what was there before is gone then.
LAST: list[Act] = [
    ("POST", "/api/v1/runs/{run}/cancel", {"reason": "the wrong commit"}),
    ("POST", "/api/v1/runs/{run}/kill", {"reason": "it does not end"}),
    ("POST", "/api/v1/schedules/pause", NIGHTLY),
    ("POST", "/api/v1/schedules/resume", NIGHTLY),
    ("POST", "/api/v1/schedules/run-now", NIGHTLY),
    ("POST", "/api/v1/secrets/rotate-key", {}),
    ("POST", "/api/v1/secrets/public-key/rotate", DEMO),
    ("POST", "/api/v1/secrets/public-key/drop-older", DEMO),
    ("POST", "/api/v1/tokens-key/rotate", {}),
    ("POST", "/api/v1/logins/claim", {"code": "{code}", "verifier": VERIFIER}),
    ("POST", "/api/v1/subscriptions/{subscription}/ping", {}),
    ("POST", "/api/v1/subscriptions/{subscription}/rotate-secret", {}),
    ("POST", "/api/v1/subscriptions/{subscription}/resume", {}),
    ("POST", "/api/v1/statuses/untold/again", {"connection": "git"}),
    ("DELETE", "/api/v1/subscriptions/{subscription}", {}),
    ("DELETE", "/api/v1/views", {"name": "My failures"}),
    ("DELETE", "/api/v1/secrets", {"name": "DEPLOY_KEY", "repo": "demo"}),
    ("DELETE", "/api/v1/limits", {"pool": "default"}),
    ("DELETE", "/api/v1/pools/{pool}", {}),
    ("DELETE", "/api/v1/environments", {"environment": "production", "repo": "demo"}),
    ("DELETE", "/api/v1/trust/policies", {"scope": "git"}),
    ("PUT", "/api/v1/connections", {"id": "git", "kind": "git"}),
    (
        "PUT",
        "/api/v1/repos",
        {"connection": "git", "external_id": "1", "name": "demo", "clone_url": "/srv/demo"},
    ),
    ("POST", "/api/v1/tokens/{token}/revoke", {}),
]
# What is named by the answer to one act, and asked for by others.
NAMED = {
    "token": ("/api/v1/tokens", "id"),
    "code": ("/api/v1/logins", "code"),
}
# What is answered once, and would look like somebody's.
ONCE = ("secret", "join")


async def recorded(here: Installation) -> dict[str, dict[str, Any]]:
    """All of them, by method and path."""
    document = create_app(here.services).openapi()
    found: dict[str, dict[str, Any]] = {}
    known = _known(here)
    await here.services.timetables.write(Timetable(repo="git/1", entries=[_nightly()]), after=0)
    await here.services.untold.keep(_untold(here))
    done = {f"{act[0]} {act[1]}": await _done(here, known, act) for act in ACTS}
    for label, path, told in _operations(document):
        one: dict[str, Any] = {}
        if label.startswith("GET ") and label not in WITHOUT and _is_json(told):
            target = path.format(**{k: quote(v, safe="") for k, v in known.items()})
            answer = await here.ask("GET", f"{target}{_query(told)}")
            if answer.status == 200:
                one["answer"] = short(json.loads(answer.body))
        schema = told.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
        if "$ref" in schema:
            form = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            one["request"] = _request(form)
        if label in BY_HAND:
            one["answer"] = BY_HAND[label]
        if one | done.get(label, {}):
            found[label] = one | done.get(label, {})
    for act in LAST:
        label = f"{act[0]} {act[1]}"
        found[label] = found.get(label, {}) | await _done(here, known, act)
    return found


async def _done(here: Installation, known: dict[str, str], act: Act) -> dict[str, Any]:
    """Its example; what it names is known then."""
    method, path, body = act
    body = {name: known["code"] if one == "{code}" else one for name, one in body.items()}
    query = f"?{urlencode(body)}" if method == "DELETE" and body else ""
    content = b"" if query else json.dumps(body).encode()
    answer = await here.ask(method, path.format(**known) + query, content)
    assert answer.status < 300, (path, answer)
    told = json.loads(answer.body)
    known |= {name: told[named] for name, (of, named) in NAMED.items() if of == path}
    told |= {name: f"{told[name][:6]}…" for name in ONCE if told.get(name)}
    asked = {"request": body} if body and not query else {}
    return {**asked, "answer": short(told)}


def _untold(here: Installation) -> Untold:
    status = Status(
        id="s-1", connection="git", repo="1", repo_name="demo", commit=COMMIT,
        context="staunch/pipeline", state=StatusState.SUCCESS, description="succeeded",
        target_url=f"https://ci.example/runs/{here.run}", at=NOW, run=here.run,
    )  # fmt: skip
    reason = "the forge answered 401: Bad credentials. The connection's token has expired"
    return Untold(status=status, reason=f"{reason}; set a new one.", since=NOW)


def _nightly() -> Entry:
    schedule = Schedule(name="nightly", cron="0 3 * * *", tz="Europe/Berlin")
    file = ".staunch/pipeline.py"
    return Entry(pipeline="pipeline", file=file, schedule=schedule, after=NOW, next=NOW + 7_200)


def short(value: Any) -> Any:
    """No longer than shows what it is."""
    if isinstance(value, dict):
        return {name: short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [short(one) for one in value[:LIST_MAX]]
    if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
        return f"{value[:TEXT_CHARS_MAX]}…"
    return value


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield f"{method.upper()} {path}", path, told


def _is_json(told: dict[str, Any]) -> bool:
    return any(
        JSON in one.get("content", {}) for code, one in told["responses"].items() if code[0] == "2"
    )


def _known(here: Installation) -> dict[str, str]:
    return {"run": here.run, "job": here.job, "name": "dist", "key": "ship", "pool": "default",
            "subscription": "chat", "runner": "r1", "token": "t"}  # fmt: skip


def _query(told: dict[str, Any]) -> str:
    needed = {"repo": "demo", "id": "d-1", "number": "7", "ref": "main", "q": "hello"}
    names = [one["name"] for one in told.get("parameters", []) if one.get("in") == "query"]
    required = [one["name"] for one in told.get("parameters", []) if one.get("required")]
    chosen = [name for name in names if name in required and name in needed]
    return "?" + "&".join(f"{name}={needed[name]}" for name in chosen) if chosen else ""


def _request(form: dict[str, Any]) -> dict[str, Any]:
    names = form.get("properties", {})
    wanted = form.get("required", []) or list(names)[:2]
    return {name: FIELDS.get(name, names[name].get("default", "")) for name in wanted}


async def main() -> None:
    """Record them."""
    with tempfile.TemporaryDirectory() as folder:
        async with installation(Path(folder)) as here:
            told = await recorded(here)
    text = json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    FILE.write_text(text.replace(folder, DATA))


if __name__ == "__main__":
    asyncio.run(main())
