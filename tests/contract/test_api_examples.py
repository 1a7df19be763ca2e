"""The examples in the API's description have the form of what routes take and answer now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from ci_host.access import Level
from ci_host.api.examples import examples
from ci_host.api.permissions import Place, need_of
from tests.api_examples import recorded
from tests.contract.test_every_route import DOCUMENT
from tests.web.installation import installation

pytestmark = [pytest.mark.nats]

OPERATIONS = {
    f"{method.upper()} {path}": told
    for path, methods in DOCUMENT["paths"].items()
    for method, told in methods.items()
}
WRITE_ANEW = "record them anew: python -m tests.api_examples"


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    folder: Path = tmp_path_factory.mktemp("examples")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(installation(folder)) as here,
    ):
        yield portal.call(recorded, here)


def form(value: Any) -> Any:
    """The names in it. The first of a list is like all; what is null or empty may be any."""
    if isinstance(value, dict):
        return {name: form(one) for name, one in value.items()}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return type(value).__name__


def fits(kept: Any, now: Any) -> bool:
    if isinstance(kept, dict) and isinstance(now, dict):
        return set(kept) == set(now) and all(fits(kept[name], now[name]) for name in kept)
    if isinstance(kept, list) and isinstance(now, list):
        return not kept or not now or fits(kept[0], now[0])
    return kept == now or "NoneType" in (kept, now) or {kept, now} == {"int", "float"}


def test_every_example_is_what_a_route_takes_and_answers_now(now):
    assert set(examples()) == set(now), WRITE_ANEW
    for label, one in now.items():
        for part, value in one.items():
            # What is keyed by names of a pipeline's own has no form to compare.
            assert part in examples()[label], f"{label}: {WRITE_ANEW}"
            if label not in ("GET /api/v1/runs/{run}/history",):
                kept = examples()[label][part]
                assert fits(form(kept), form(value)), f"{label} {part}: {WRITE_ANEW}"


def contents(told: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What an operation is asked and answers, by kind; what all refuse alike is said once."""
    yield from told.get("requestBody", {}).get("content", {}).items()
    for one in [*told["responses"].values(), *DOCUMENT["components"]["responses"].values()]:
        yield from one.get("content", {}).items()


@pytest.mark.parametrize("label", OPERATIONS)
def test_whatever_is_asked_and_answered_has_an_example(label):
    told = OPERATIONS[label]
    bare = [kind for kind, one in contents(told) if "example" not in one]
    # A tar is bytes.
    assert bare in ([], ["application/x-tar"])
    assert told["summary"] and told["description"]


@pytest.mark.parametrize("label", OPERATIONS)
def test_it_is_said_who_may_ask_and_how_each_refusal_is_told(label):
    told = OPERATIONS[label]
    need = need_of(*label.replace("{key}", "{key:path}").split(" "))
    is_open = need.place is Place.OPEN
    assert told["security"] == ([] if is_open else [{"key": [need.level.value]}])
    assert {"503", "default"} <= set(told["responses"])
    assert is_open or "401" in told["responses"]
    assert need.level is Level.READ or "403" in told["responses"]
    refused = [one for code, one in told["responses"].items() if code == "default" or code >= "400"]
    for one in refused:
        name = one.get("$ref", "").rpartition("/")[2]
        said = DOCUMENT["components"]["responses"][name] if name else one
        assert list(said["content"]) == ["application/problem+json"]


def test_what_is_read_as_json_says_its_etag_and_streams_and_files_what_they_are():
    kinds = {
        label: next(iter(one["responses"].get("200", {}).get("content", {})), "")
        for label, one in OPERATIONS.items()
    }
    for label, one in OPERATIONS.items():
        is_tagged = label.startswith("GET /api/v1/") and kinds[label] == "application/json"
        assert ("304" in one["responses"]) is is_tagged, label
    assert kinds["GET /api/v1/events/stream"] == "text/event-stream"
    assert kinds["GET /api/v1/jobs/{job}/log/stream"] == "text/event-stream"
    assert kinds["GET /api/v1/jobs/{job}/artifacts/{name}/tar"] == "application/x-tar"
    assert kinds["GET /api/v1/runs/{run}/export"] == "application/x-ndjson"
    assert kinds["GET /metrics"] == kinds["GET /api/v1/jobs/{job}/log"] == "text/plain"
