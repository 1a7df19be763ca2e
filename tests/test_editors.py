"""What editors know of a pipeline: pyright, as most of them have it, over all that the guide shows.

Mypy looks at the package itself, see `make types`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRONG = """
from staunch import Retry, Step, on
from staunch.testing import PipelineTest, push

on.pusch(branches=["main"])
Retry("two")


async def run(event, step: Step):
    await step.job("unit", run="make", retrys=1)


PipelineTest().job("unit", exit_code="1").run(push(brnch="main"))
"""


def complaints(folder: Path, files: dict[str, str]) -> list[dict[str, Any]]:
    """The errors of pyright in its basic mode, which is what editors show by default."""
    for name, text in files.items():
        (folder / name).write_text(text)
    here = {"venvPath": str(Path(sys.prefix).parent), "venv": Path(sys.prefix).name}
    config = {"include": ["."], "typeCheckingMode": "basic", "pythonVersion": "3.11", **here}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    program = Path(sys.executable).with_name("basedpyright")
    command = [str(program), "--outputjson", "-p", str(folder)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert told["summary"]["filesAnalyzed"] >= len(files)
    return [one for one in told["generalDiagnostics"] if one["severity"] == "error"]


@pytest.mark.slow
def test_editors_find_nothing_wrong_with_what_the_guide_shows(tmp_path: Path) -> None:
    files = {
        f"{page.stem}_{number}.py".replace("-", "_"): source
        for page in PAGES
        for number, source in enumerate(FENCE.findall(page.read_text()), 1)
        if "async def run(" in source or "staunch.testing" in source
    }
    assert len(files) >= 40
    files["typed_example.py"] = (ROOT / "tests/unit/testkit/typed_example.py").read_text()
    found = complaints(tmp_path, files)
    assert found == [], "\n".join(f"{one['file']}: {one['message']}" for one in found)


@pytest.mark.slow
def test_editors_see_what_is_written_wrongly(tmp_path: Path) -> None:
    lines = {one["range"]["start"]["line"] for one in complaints(tmp_path, {"a.py": WRONG})}
    assert lines == {4, 5, 9, 12}
