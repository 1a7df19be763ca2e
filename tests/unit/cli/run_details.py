"""Runs as the API has them in detail, for what the command line says of them."""

from typing import Any

BEGAN = 1_795_771_000.0


def detail(run: str, **more: Any) -> dict[str, Any]:
    """A run that goes on, of which nothing is known but what is given."""
    return {
        "id": run, "repo_name": "acme/shop", "pipeline": "pipeline", "ref": "refs/heads/main",
        "commit": "c" * 40, "state": "running", "priority": "normal", "url": "http://host/runs/1",
        "created_at": BEGAN, "finished_at": None, "trust": {"tier": "trusted"}, "attempt": 1,
        "error": None, "note": None, "given": {}, "parent": "", "parent_step": "", "fork_of": "",
        "continues": "", "continued_as": "", "is_imported": False, "rerun_of": "", "forks": [],
        "reruns": [], "warnings": [], "waiting": [], "waiting_for": "", "steps": [],
        "attempts": [], "history": [], "inputs": [], "restarts": [], "shells": [],
        **more,
    }  # fmt: skip


def step(key: str, kind: str = "job", **more: Any) -> dict[str, Any]:
    """A step that is under way."""
    return {
        "key": key, "kind": kind, "state": "running", "started_at": BEGAN, "finished_at": None,
        "child": "", "recalled_from": "", "gate": None, "value": None, "error": None, "due": None,
        **more,
    }  # fmt: skip


def attempt(key: str, **more: Any) -> dict[str, Any]:
    """An attempt that a runner is at."""
    number = more.get("attempt", 1)
    return {
        "key": key, "attempt": number, "job": f"1-0.{key}.{number}", "state": "running",
        "started_at": BEGAN, "finished_at": None, "exit_code": None, "message": "", "image": "",
        "runner": "here", "coverage": None, "services": [], "denied": [], "left_out": [],
        "annotations": [], "log_bytes": 0,
        **more,
    }  # fmt: skip


def wait(kind: str, key: str, **more: Any) -> dict[str, Any]:
    """Something that a run waits for."""
    said = {"kind": kind, "key": key, "words": f"{kind} {key}", "since": BEGAN, "until": None}
    return {**said, **more}
