"""Every route of the API, asked for what its own OpenAPI document allows, and for what it does not:
it refuses, and never breaks. schemathesis reads the document and makes the requests."""

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any, cast
from urllib.parse import quote

import pytest
import requests
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from ci_host.api.answers.table import ANSWERS
from ci_host.api.app import create_app
from ci_host.api.permissions import SOCKET
from tests.answer_forms import AnswerForms
from tests.engine.world import COMMIT
from tests.patience import PATIENCE_S
from tests.web.installation import Installation, installation
from tests.web.routes import Address, addresses

pytestmark = [pytest.mark.nats, pytest.mark.xdist_group("every-route")]

# These wait for something that does not happen here, or tell of it without end.
WAITING = {"GET /api/v1/runs/{run}/wait", "POST /api/v1/runs", "POST /api/v1/runs/{run}/rerun",
           "GET /api/v1/jobs/{job}/log/stream", "GET /api/v1/events/stream",
           "POST /api/v1/delivery/replay", "POST /api/v1/trust/approvals",
           "POST /api/v1/connect"}  # fmt: skip
WAITED_S = 0.05
EXAMPLES = 6
# What a person would not type.
HOSTILE = ("", "\x00", "x" * 70_000, "../../etc/passwd", "%", "$(id)", "-x", "a\nb", "٣",
           0, -1, 2**63, 2**200, 1e308, True, None, [], {}, [[[]]], {"a": {"b": []}})  # fmt: skip
HOSTILE_QUERY = ("", "%00", "%ED%A0%80", "x" * 9_000, "9" * 400, "-1", "nan", "a%0d%0ab")


def document() -> dict[str, Any]:
    """The API's own description of itself."""
    return create_app(cast(Any, _NoServices())).openapi()


class _NoServices:
    directory = inbox = told = None


# JSON lines are a text, whatever is in them.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")

DOCUMENT = document()
FORMS = AnswerForms(DOCUMENT)
OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
}
SAMPLES = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


BODIES = [
    label
    for label, one in OPERATIONS.items()
    if any(body.media_type == "application/json" for body in one.body) and "/hooks/" not in label
]
PAGES = [one for one in addresses() if one.method != SOCKET and one.words not in
         {label.replace("{key}", "{key:path}") for label in OPERATIONS}]  # fmt: skip
# What the forms of pages have.
FORM = ("key", "decision", "input.percent", "comment", "token")


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """One event loop for all requests."""
    with start_blocking_portal() as made:
        yield made


@pytest.fixture(scope="module")
def here(
    portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("every-route")
    with portal.wrap_async_context_manager(installation(folder)) as made:
        yield made


def known(here: Installation) -> dict[str, Any]:
    """What there is, by the names that routes have for it."""
    return {"run": here.run, "job": here.job, "key": "ship", "repo": "demo", "connection": "git",
            "connection_id": "git", "pipeline": "pipeline", "pool": "default", "commit": COMMIT,
            "url": "https://tea.test/me/shop", "kind": "gitea", "environment": "production",
            "ref": "refs/heads/main", "approved": True, "number": 7}  # fmt: skip


def aimed(case: Case, there: dict[str, Any]) -> tuple[str, bytes]:
    """Target and body of a case."""
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            place.update({name: there[name] for name in set(place) & set(there)})
    made = requests.Request(**case.as_transport_kwargs(base_url="http://ci.test")).prepare()
    body = made.body or b""
    return str(made.url).removeprefix("http://ci.test"), (
        body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    )


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_a_route_refuses_and_never_breaks(
    label: str, portal: BlockingPortal, here: Installation
) -> None:
    operation, there = OPERATIONS[label], known(here)
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=either(operation), is_aimed=st.booleans())
    def asked(case: Case, is_aimed: bool) -> None:
        target, body = aimed(case, there if is_aimed else {})
        seen.add(unbroken(portal, here, label, target, body))

    asked()
    assert seen - {401}, "somebody was let in"


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_a_route_refuses_what_nobody_sends_in_earnest_wherever_it_is(
    label: str, portal: BlockingPortal, here: Installation
) -> None:
    """Each field of its body and each parameter of its query once with each such value."""
    operation, there = OPERATIONS[label], known(here)
    target = filled(operation.path, there)
    fields = fields_of(operation)
    base = {
        name: there.get(name, SAMPLES.get(kind, "x"))
        for name, (kind, is_required) in fields.items()
        if is_required or name in there
    }
    for name, value in product(fields, HOSTILE):
        unbroken(portal, here, label, target, json.dumps({**base, name: value}).encode())
    body = json.dumps(base).encode() if base else b""
    for name, value in product([one.name for one in operation.query], HOSTILE_QUERY):
        unbroken(portal, here, label, f"{target}?{name}={value}", body)
    for value in HOSTILE_QUERY if "{" in operation.path else []:
        unbroken(portal, here, label, re.sub(r"\{[^}]*\}", value or "%20", operation.path), body)


def unbroken(
    portal: BlockingPortal, here: Installation, label: str, target: str, body: bytes
) -> int:
    """Ask it, and answer the status, which is none of an error of ours."""
    method, patience_s = label.partition(" ")[0], WAITED_S if label in WAITING else PATIENCE_S
    answer = portal.call(lambda: here.ask(method, target, body, patience_s=patience_s))
    assert answer.status < 500 or is_foreseen(answer.status, answer.body), (
        method, target[:500], body[:500], answer,
    )  # fmt: skip
    assert answer.status or label in WAITING, "nobody answers"
    if 200 <= answer.status < 300 and label in ANSWERS:
        assert FORMS.wrong(label, json.loads(answer.body)) == []
    if answer.status >= 400:
        told = json.loads(answer.body)
        assert told["title"] and told["detail"] and told["status"] == answer.status, told
    return answer.status


def filled(path: str, there: dict[str, Any]) -> str:
    """The path, about what there is."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda one: quote(str(there.get(one[1], "x"))), path)


def fields_of(operation: Any) -> dict[str, tuple[str, bool]]:
    """Type of each field of its body, and whether it must be there."""
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    content = described.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return {
        name: (str(one.get("type")), name in schema.get("required", []))
        for name, one in schema.get("properties", {}).items()
    }


@pytest.mark.parametrize("label", sorted(BODIES))
def test_half_a_character_is_refused_wherever_it_is(
    label: str, portal: BlockingPortal, here: Installation
) -> None:
    """JSON can write what UTF-8 cannot, and so nobody could keep it."""
    method, _, path = label.partition(" ")
    target = filled(path, known(here))
    for body in ({"a": "\ud800"}, {"\udfff": 1}, {"a": [{"b": "x\ud800y"}]}):
        answer = portal.call(lambda body=body: here.ask(method, target, json.dumps(body).encode()))
        assert (answer.status, json.loads(answer.body)["title"]) == (422, "Not a text")


@pytest.mark.parametrize("address", PAGES, ids=lambda one: one.words)
def test_a_page_refuses_and_never_breaks(
    address: Address, portal: BlockingPortal, here: Installation
) -> None:
    """Pages are in no document: each place of theirs gets one value after the other."""
    right = filled(address.path, known(here))
    asked = [*sorted(address.fields()), "repo"]
    targets = [f"{right}?{name}={value}" for name, value in product(asked, HOSTILE_QUERY)]
    if "{" in address.path:
        targets += [re.sub(r"\{[^}]*\}", one or "%20", address.path) for one in HOSTILE_QUERY]
    forms = [f"{name}={value}&key=ship" for name in FORM for value in HOSTILE_QUERY]
    bodies = [f.encode() for f in forms] if address.method == "POST" else [b""]
    form = "application/x-www-form-urlencoded"
    patience_s = WAITED_S if address.path.endswith("/live") else PATIENCE_S
    for target, body in [*((one, bodies[0]) for one in targets), *((right, one) for one in bodies)]:
        answer = portal.call(
            lambda target=target, body=body: here.ask(
                address.method, target, body, kind=form, patience_s=patience_s
            )
        )
        assert answer.status < 500 or is_foreseen(answer.status, answer.body), (target, answer)
        assert answer.status or address.path.endswith("/live"), "nobody answers"


def test_the_history_of_a_run_says_how_long_it_was_until_a_turn_was_durable(
    portal: BlockingPortal, here: Installation
) -> None:
    target = f"/runs/{here.run}?tab=history&turn=1"
    text = portal.call(here.ask, "GET", target).body.decode()
    (took,) = re.findall(r"decided was durable\">([^<]+)</dd>", text)
    assert re.fullmatch(r"\d+ ms|[\d.]+s", took), took
    asked = text[text.index("What the pipeline asked for") :]
    assert [key for key in ("count", "ship", "build") if f"<bdi>{key}</bdi>" not in asked] == []


def either(operation: Any) -> st.SearchStrategy[Case]:
    """What the document allows, and what it does not."""
    return operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )


def is_foreseen(status: int, body: bytes) -> bool:
    """Whether the answer says that something else is away, and what."""
    return status in (502, 503) and bool(json.loads(body)["detail"])
