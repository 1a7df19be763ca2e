"""What lint says of the sandbox's standard library is what the sandbox says itself."""

import pytest

from ci_host.tenant.host import TenantHost
from pipelines.bundle import Bundle
from pipelines.lint.sandbox_modules import PARTS, STDLIB

pytestmark = pytest.mark.sandbox

# They greet, open a browser, or are no modules.
NOT_ASKED = {"antigravity", "this", "__future__", "__main__"}
ASKING = f"""
import importlib, sys

there = []
for name in sorted(sys.stdlib_module_names - {NOT_ASKED}):
    try:
        importlib.import_module(name)
    except BaseException:
        continue
    there.append(name)
raise RuntimeError(" ".join(one for one in there if not one.startswith("_")))


async def run(event, step): ...
"""


def test_the_modules_that_lint_knows_are_those_of_the_image(wasm_image) -> None:
    prepared = TenantHost(wasm_image).prepare(Bundle(files={".staunch/pipeline.py": ASKING}))
    error = prepared.pipelines[0].error
    assert error is not None
    there = set(error.message.split())
    assert there == {one for one in STDLIB - NOT_ASKED if not one.startswith("_")}


PARTS_ASKED = """
import sys

own = [name for name in sys.modules if name.partition(".")[0] in sys.stdlib_module_names]
raise RuntimeError(" ".join(name for name in own if "." in name and "._" not in f".{name}"))
"""


def test_and_so_are_their_parts(wasm_image) -> None:
    prepared = TenantHost(wasm_image).prepare(Bundle(files={".staunch/pipeline.py": PARTS_ASKED}))
    error = prepared.pipelines[0].error
    assert error is not None
    assert set(error.message.split()) == PARTS
