import json
from dataclasses import asdict

import msgspec
import pytest

from pipelines.trust import tier_of
from tests.payloads import EVENTS, FOLDER, PAYLOADS, event_of, kind_of
from webhooks.forge import Ignored, ParsedEvent
from webhooks.registry import FORGES

GOLDEN = {
    f"{path.parents[1].name}/{path.stem}": json.loads(path.read_text())
    for path in sorted(FOLDER.glob("*/normal/*.json"))
}


def normal(parsed: list[ParsedEvent] | Ignored) -> object:
    """What a payload became, as it stands in a golden file: only what is not empty."""
    if isinstance(parsed, Ignored):
        return {"ignored": parsed.reason}
    return [
        {
            "repository": one.external_id,
            "name": one.name,
            "tier": str(tier_of(one.event)),
            "event": full(msgspec.to_builtins(one.event)),
            **({"sought": asdict(one.sought)} if one.sought else {}),
            **({"command": command(asdict(one.command))} if one.command else {}),
        }
        for one in parsed
    ]


def command(parts: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in parts.items() if name != "comment" or value}


def full(event: dict[str, object]) -> dict[str, object]:
    return {
        name: full(value) if isinstance(value, dict) else value
        for name, value in event.items()
        if value not in ("", None, False, [])
    }


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_payload_becomes_its_golden_normal_form(name):
    parsed = FORGES[kind_of(name)].parse(event_of(name), json.dumps(PAYLOADS[name]))
    assert normal(parsed) == GOLDEN[name]


def test_every_payload_of_bitbucket_has_a_golden_form_and_every_golden_form_a_payload():
    of_bitbucket = {name for name in PAYLOADS if name.startswith("bitbucket")}
    assert of_bitbucket <= set(GOLDEN) <= set(PAYLOADS)
    assert set(EVENTS) == {kind_of(name) for name in PAYLOADS}
