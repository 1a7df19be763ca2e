"""The examples in the API's description have the form of what routes take and answer now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from ci_host.api.examples import examples, with_examples
from tests.api_examples import WITHOUT, recorded
from tests.contract.test_every_route import DOCUMENT
from tests.web.installation import installation

pytestmark = [pytest.mark.nats]

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


def test_most_routes_that_are_read_have_one_and_all_that_take_a_body_do():
    described = with_examples(DOCUMENT)["paths"]
    told = {f"{m.upper()} {path}": one for path, ms in described.items() for m, one in ms.items()}
    for label, one in told.items():
        body = one.get("requestBody", {}).get("content", {}).get("application/json", {})
        if body.get("schema", {}).get("$ref"):
            assert "example" in body, label
    read = {label for label in told if label.startswith("GET ")} - WITHOUT
    with_answer = {label for label in read if "answer" in examples().get(label, {})}
    assert len(with_answer) >= 0.75 * len(read), sorted(read - with_answer)
