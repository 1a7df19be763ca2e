"""The references in `docs/reference/` are what the code says now."""

import pytest

from tests.references import FOLDER, PAGES, page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text()
    assert written == page(name), "write it anew: python -m tests.references"


def test_nothing_else_lies_there() -> None:
    assert {one.name for one in FOLDER.iterdir()} == set(PAGES)
