"""The golden normal forms: every payload has one, and becomes it."""

import json

import pytest

from pipelines.repo import ForgeKind
from tests.normal_forms import TABLE, golden_file, normal_form, table
from tests.payloads import FOLDER, PAYLOADS, kind_of

FORMS_MIN = 60


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_a_payload_becomes_its_golden_normal_form(name):
    assert normal_form(name) == json.loads(golden_file(name).read_text())


def test_every_golden_form_has_a_payload_and_every_forge_some():
    golden = {f"{path.parents[1].name}/{path.stem}" for path in FOLDER.glob("*/normal/*.json")}
    assert golden == set(PAYLOADS)
    assert len(golden) >= FORMS_MIN
    assert {kind_of(name) for name in golden} == set(ForgeKind)


def test_the_table_of_payloads_says_what_is_so():
    assert TABLE.read_text() == table(), "`python -m tests.normal_forms` writes it"
