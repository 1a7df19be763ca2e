"""The examples in the API's description: recorded of an installation that has a Run at a gate.

`python -m tests.api_examples` records them anew; read what git says has changed.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ci_host.api.app import create_app
from ci_host.api.examples import FILE, JSON
from tests.engine.world import COMMIT
from tests.web.installation import Installation, installation

LIST_MAX = 2
# Where an installation keeps its data, in place of where this one does.
DATA = "/var/lib/staunch"
TEXT_CHARS_MAX = 200
# What comes with no end, or is no JSON whatever its description says.
WITHOUT = {
    "GET /api/v1/runs/{run}/export",
    "GET /api/v1/runs/{run}/wait",
    "GET /api/v1/jobs/{job}/log/stream",
    "GET /api/v1/events/stream",
}
# What each field of a request may be.
FIELDS: dict[str, Any] = {
    "repo": "acme/shop", "repos": ["acme/shop"], "connection": "hub", "name": "go-live",
    "commit": COMMIT, "ref": "refs/heads/main", "pipeline": "pipeline", "inputs": {"percent": 25},
    "approved": True, "comment": "looks good", "key": "deploy-42", "id": "hub", "kind": "github",
    "url": "https://chat.example/hooks/ci", "kinds": ["run.finished"], "payload": {"ok": True},
    "external_id": "1296269", "clone_url": "https://github.com/acme/shop.git", "number": 7,
    "value": "correct horse battery", "environment": "production", "pool": "default", "at_once": 2,
    "refs": ["refs/heads/main"], "scope": "", "challenge": "0" * 64, "machine": "adas-laptop",
    "code": "BCDF-GHJK", "verifier": "v" * 43, "labels": ["gpu"], "tier": "trusted",
    "from_step": "", "priority": "high", "days": 30, "teams": ["ops"], "api_url": "",
}  # fmt: skip


# Done first, in this order, so that there is something to read.
ACTS: list[tuple[str, str, dict[str, Any]]] = [
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
    ("POST", "/api/v1/runs/{run}/resume", {}),
]
# What is answered once, and would look like somebody's.
ONCE = ("secret", "join")


async def recorded(here: Installation) -> dict[str, dict[str, Any]]:
    """All of them, by method and path."""
    document = create_app(here.services).openapi()
    found: dict[str, dict[str, Any]] = {}
    done: dict[str, dict[str, Any]] = {}
    for method, path, body in ACTS:
        answer = await here.ask(method, path.format(**_known(here)), json.dumps(body).encode())
        assert answer.status < 300, (path, answer)
        told = json.loads(answer.body)
        told |= {name: f"{told[name][:6]}…" for name in ONCE if name in told}
        done[f"{method} {path}"] = {"request": body, "answer": short(told)}
    for label, path, told in _operations(document):
        one: dict[str, Any] = {}
        if label.startswith("GET ") and label not in WITHOUT and _is_json(told):
            target = path.format(**{k: quote(v, safe="") for k, v in _known(here).items()})
            answer = await here.ask("GET", f"{target}{_query(told)}")
            if answer.status == 200:
                one["answer"] = short(json.loads(answer.body))
        schema = told.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
        if "$ref" in schema:
            form = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            one["request"] = _request(form)
        if one | done.get(label, {}):
            found[label] = one | done.get(label, {})
    return found


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
    needed = {"repo": "demo", "id": "d-1", "number": "7", "ref": "main"}
    names = [one["name"] for one in told.get("parameters", []) if one["in"] == "query"]
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
