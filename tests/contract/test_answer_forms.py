"""What the API answers has the form that its OpenAPI document gives it, under a name."""

import copy
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from ci_host.api.answers.job_forms import RunnerState
from ci_host.api.answers.table import ANSWERS
from ci_host.api.examples import examples
from ci_host.registration import State
from tests.answer_forms import JSON, AnswerForms
from tests.contract.test_every_route import DOCUMENT

FORMS = AnswerForms(DOCUMENT)
SCHEMAS = DOCUMENT["components"]["schemas"]
EXAMPLES = {label: one["answer"] for label, one in examples().items() if "answer" in one}


def answered() -> Iterator[tuple[str, dict[str, Any]]]:
    """What each operation answers as JSON when all is well, by its label."""
    for path, methods in DOCUMENT["paths"].items():
        for method, told in methods.items():
            for code, one in told["responses"].items():
                if code[0] == "2" and JSON in one.get("content", {}):
                    yield f"{method.upper()} {path}", one["content"][JSON]["schema"]


def test_every_answer_has_a_form_with_a_name() -> None:
    named = {label: one["$ref"].rpartition("/")[2] for label, one in answered() if "$ref" in one}
    # What forges are told when they call is said where they call.
    hooks = {"POST /hooks/{connection_id}", "POST /hooks/{connection_id}/{repo_id}"}
    assert {label for label, _ in answered()} - set(named) == hooks
    assert named == {label: form.__name__ for label, form in ANSWERS.items()}
    assert set(named.values()) <= set(SCHEMAS)


@pytest.mark.parametrize("label", EXAMPLES)
def test_the_example_of_an_answer_has_its_form(label: str) -> None:
    assert FORMS.wrong(label, EXAMPLES[label]) == []


@pytest.mark.parametrize("label", EXAMPLES)
def test_a_form_names_all_that_is_there_and_what_must_be(label: str) -> None:
    more = EXAMPLES[label] | {"unheard_of": 1}
    assert len(FORMS.wrong(label, more)) == 1
    for name in EXAMPLES[label]:
        less = {key: one for key, one in EXAMPLES[label].items() if key != name}
        assert FORMS.wrong(label, less), f"{label}: {name} may be missing"


def test_what_is_deep_in_an_answer_is_looked_at_too() -> None:
    label = "GET /api/v1/runs/{run}"
    run = copy.deepcopy(EXAMPLES[label])
    run["steps"][1]["gate"]["approvers"] = "@ops"
    del run["attempts"][0]["denied"]
    places = [one.removeprefix(f"{label} ").partition(":")[0] for one in FORMS.wrong(label, run)]
    assert sorted(places) == ["attempts.0", "steps.1.gate"]


def test_every_form_says_what_it_is_and_every_word_of_a_set_is_told() -> None:
    (*_, ours) = msgspec.json.schema_components(ANSWERS.values(), ref_template="{name}")
    for name, form in ours.items():
        assert form.get("description") or "enum" in form, name
        # What is asked and answered under one name is one thing.
        assert set(SCHEMAS[name].get("enum", ())) == set(form.get("enum", ())), name
        assert set(SCHEMAS[name].get("properties", ())) == set(form.get("properties", ())), name


def test_no_name_of_a_form_is_that_of_a_module() -> None:
    assert [name for name in SCHEMAS if "__" in name or not name[0].isupper()] == []
    assert set(get_args(RunnerState)) == set(State)


def test_an_address_is_known_for_its_route() -> None:
    for method, path, route in [
        ("GET", "/api/v1/runs/1-ab?x=1", "/api/v1/runs/{run}"),
        ("GET", "/api/v1/runs/1-ab/tests", "/api/v1/runs/{run}/tests"),
        ("POST", "/api/v1/runs/1-ab/gates/a/b", "/api/v1/runs/{run}/gates/{key}"),
        ("GET", "/api/v1/runs", "/api/v1/runs"),
    ]:
        assert FORMS.label(method, path) == f"{method} {route}"
    assert FORMS.label("GET", "/api/v1/jobs/j/log") == ""


def test_no_form_is_there_for_nothing() -> None:
    (*_, ours) = msgspec.json.schema_components(ANSWERS.values(), ref_template="{name}")
    text = msgspec.json.encode([DOCUMENT["paths"], SCHEMAS]).decode()
    assert [name for name in ours if f'"#/components/schemas/{name}"' not in text] == []
