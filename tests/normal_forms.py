"""Normal forms: what each payload in `tests/forges/` becomes, as golden files and as one table.

`python -m tests.normal_forms` writes both anew. Read what git says has changed: a form that differs
from what it was is a change of what forges' words mean here.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from pipelines.trust import tier_of
from tests.payloads import FOLDER, PAYLOADS, event_of, kind_of
from webhooks.forge import Ignored, ParsedEvent
from webhooks.registry import FORGES

ALWAYS = ("word", "number", "login", "commit")
TABLE = FOLDER / "table.md"
HEAD = """# What each payload becomes

Written by `python -m tests.normal_forms`. The whole of it is in `<forge>/normal/<payload>.json`.

| payload | comes as | becomes |
| --- | --- | --- |
"""


def normal_form(name: str) -> Any:
    """What the payload `<folder>/<name>` becomes: only what is not empty."""
    parsed = FORGES[kind_of(name)].parse(event_of(name), json.dumps(PAYLOADS[name]))
    if isinstance(parsed, Ignored):
        return {"ignored": parsed.reason}
    return [_form(one) for one in parsed]


def golden_file(name: str) -> Path:
    """Where its normal form is kept."""
    folder, _, stem = name.partition("/")
    return FOLDER / folder / "normal" / f"{stem}.json"


def table() -> str:
    """All of them, a line each."""
    lines = [
        f"| `{name}` | `{event_of(name)}` | {_words(normal_form(name))} |"
        for name in sorted(PAYLOADS)
    ]
    return HEAD + "\n".join(lines) + "\n"


def _form(one: ParsedEvent) -> dict[str, Any]:
    return {
        "repository": one.external_id,
        "name": one.name,
        "tier": str(tier_of(one.event)),
        "event": _full(msgspec.to_builtins(one.event)),
        **({"sought": asdict(one.sought)} if one.sought else {}),
        **({"again": _full(asdict(one.again))} if one.again else {}),
        **({"command": _command(asdict(one.command))} if one.command else {}),
    }


def _command(parts: dict[str, Any]) -> dict[str, Any]:
    # Not every forge says which comment it was, and when.
    return {name: value for name, value in parts.items() if name in ALWAYS or value}


def _full(event: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _full(value) if isinstance(value, dict) else value
        for name, value in event.items()
        if value not in ("", None, False, [])
    }


def _words(form: Any) -> str:
    if isinstance(form, dict):
        return f"ignored, because {form['ignored']}"
    return "; ".join(_one(one) for one in form).replace("|", "\\|")


def _one(form: dict[str, Any]) -> str:
    event = form["event"]
    pull, command = event.get("pull_request", {}), form.get("command")
    if command:
        at = f" at `{command['commit'][:10]}`" if command["commit"] else ""
        gate = f" gate `{command['gate']}`" if command.get("gate") else ""
        return f"**{command['word']}**{gate} of {command['number']}, by {command['login']}{at}"
    said = [
        f"**{event['kind']}**",
        *([f"`{event['ref']}`"] if event.get("ref") else []),
        *([f"at `{event['commit'][:10]}`"] if event.get("commit") else []),
        *(["at a commit that is sought"] if "sought" in form else []),
        *([pull["action"]] if pull else []),
        *([word for word, is_so in _marks(form).items() if is_so]),
    ]
    return " ".join(said)


def _marks(form: dict[str, Any]) -> dict[str, bool]:
    event = form["event"]
    pull = event.get("pull_request", {})
    return {
        "(forced)": event.get("forced", False),
        "(draft)": pull.get("is_draft", False),
        "(fork)": pull.get("is_fork", False) and "head_repo" in pull,
        "(deleted fork)": pull.get("is_fork", False) and "head_repo" not in pull,
        f"(labels: {', '.join(pull.get('labels', []))})": bool(pull.get("labels")),
        "(once more)": "again" in form,
        "(untrusted)": form["tier"] != "trusted",
    }


def main() -> None:
    """Write them all."""
    for name in PAYLOADS:
        golden_file(name).parent.mkdir(exist_ok=True)
        text = json.dumps(normal_form(name), indent=2, ensure_ascii=False)
        golden_file(name).write_text(f"{text}\n")
    TABLE.write_text(table())


if __name__ == "__main__":
    main()
