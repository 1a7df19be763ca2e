import pytest
from staunch.testing import Nondeterministic, PipelineTest

from ci_host.testkit.story import VERIFIED_AT_ONCE
from tests.unit.testkit.pipelines_under_test import FILE, KEPT_OUTSIDE


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(KEPT_OUTSIDE.splitlines(), 1) if text in line)


def test_what_a_plan_keeps_outside_of_its_history_is_found_with_file_and_line() -> None:
    with pytest.raises(Nondeterministic) as found:
        PipelineTest.of({FILE: KEPT_OUTSIDE}).run()
    said = str(found.value)
    assert "job 'one' (attempt 1" in said
    assert f"({FILE}:{line_of('one')})" in said
    assert f"({FILE}:{line_of('other')})" in said


def test_without_hibernation_nobody_notices() -> None:
    result = PipelineTest.of({FILE: KEPT_OUTSIDE}, hibernate=False).run().succeeded()
    assert result.names == ["look", "a while", "one"]


def test_a_plan_is_made_anew_after_every_turn_and_its_functions_are_not_called_again() -> None:
    source = (
        "def f(n):\n    print('computed', n)\n    return n\n"
        "async def run(event, step):\n"
        "    for n in range(3):\n"
        "        await step.do(f'f{n}', f, n)\n"
        "        await step.sleep(f's{n}', 5)\n"
    )
    result = PipelineTest.of({FILE: source}).run().succeeded()
    assert result.printed == "computed 0\ncomputed 1\ncomputed 2\n"


@pytest.mark.parametrize("turns", [VERIFIED_AT_ONCE - 10, VERIFIED_AT_ONCE, 3 * VERIFIED_AT_ONCE])
def test_what_is_verified_later_is_found_all_the_same(turns: int) -> None:
    loop = f"for number in range({turns}):\n        await step.sleep('again', 60)\n    if seen:"
    source = KEPT_OUTSIDE.replace("if seen:", loop)
    with pytest.raises(Nondeterministic, match=f"turn {turns + 2} decided job 'one'"):
        PipelineTest.of({FILE: source}).run()
