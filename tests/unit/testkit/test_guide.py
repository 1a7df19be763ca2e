import re
from pathlib import Path

import pytest
from staunch.testing import PipelineTest

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
PAGE = Path(__file__).resolve().parents[3] / "docs/guide/testing-pipelines.md"
BLOCKS = FENCE.findall(PAGE.read_text())
PIPELINE, *TESTS = [source for kind, source in BLOCKS if kind == "python"]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / ".staunch").mkdir()
    (tmp_path / ".staunch/pipeline.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("number", range(len(TESTS)))
def test_every_test_of_the_guide_passes(number: int) -> None:
    names: dict[str, object] = {}
    exec(compile(TESTS[number], str(PAGE), "exec"), names)
    tests = [one for name, one in names.items() if name.startswith("test_")]
    assert tests
    for one in tests:
        one()


@pytest.mark.usefixtures("repository")
def test_what_the_guide_shows_of_a_run_is_what_is_printed() -> None:
    (shown,) = [source for kind, source in BLOCKS if not kind]
    assert str(PipelineTest().job("unit", exit_code=2).run()) + "\n" == shown
