"""Every Case comes to its end in the real sandbox: left alone, and on engines that die."""

from pathlib import Path

import pytest

from ci_host.adapters.wasm.instance import WasmImage
from tests.conformance.cases import CASES
from tests.conformance.stage import Case, Stage, play, stages

pytestmark = [pytest.mark.anyio, pytest.mark.sandbox]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_plan_ends_as_it_must(case: Case, tmp_path: Path, wasm_image: WasmImage) -> None:
    async with stages(tmp_path, wasm_image) as world:
        await play(case, Stage(world, await world.begin(case.source, beside=case.beside)))


# A Case whose acts come before the engine has seen the Run has no moment between them.
DYING = {name: case for name, case in CASES.items() if case.acts and not case.early}


@pytest.mark.parametrize("case", DYING.values(), ids=DYING.keys())
async def test_a_plan_ends_as_it_must_whenever_its_engine_dies(
    case: Case, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        stage = Stage(world, await world.begin(case.source, beside=case.beside))
        await play(case, stage, dies=True)
        assert world.lives == len(case.acts) + 2
