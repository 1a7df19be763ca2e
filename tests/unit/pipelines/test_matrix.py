"""matrix(…): combinations, their names, and mistakes in them."""

import pytest
import staunch
from staunch.matrix import CELLS_MAX, Cell, matrix


def names(cells: list[Cell]) -> list[str]:
    return [cell.name for cell in cells]


def test_every_combination_is_there_once_the_last_axis_fastest():
    cells = matrix(python=["3.11", "3.12"], os=["debian", "alpine"])
    assert names(cells) == [
        "python=3.11,os=debian", "python=3.11,os=alpine",
        "python=3.12,os=debian", "python=3.12,os=alpine",
    ]  # fmt: skip
    assert cells[1] == {"python": "3.11", "os": "alpine"}


def test_an_exclusion_leaves_out_whatever_has_all_its_values():
    cells = matrix(a=[1, 2], b=[1, 2], exclude=[{"a": 1, "b": 2}, {"b": 1}])
    assert names(cells) == ["a=2,b=2"]


def test_an_inclusion_comes_last_and_as_it_is():
    cells = matrix(a=[1], include=[{"a": 2, "nightly": True}])
    assert names(cells) == ["a=1", "a=2,nightly=True"]
    assert cells[1]["nightly"] is True


def test_a_matrix_may_be_all_inclusions():
    assert names(matrix(include=[{"a": "x"}, {"b": "y"}])) == ["a=x", "b=y"]


def test_a_name_stays_when_its_combination_is_changed():
    (cell,) = matrix(a=[1])
    cell["more"] = 2
    assert cell.name == "a=1"


def test_a_name_can_be_a_step_and_a_scope(play):
    run = play(
        """
        for cell in matrix(python=["3.11"], os=["debian"]):
            await step.do(cell.name, dict, cell)
            await step.scope(cell.name).do("x", int)
        """
    )
    assert [command.key for command in run.start().commands] == [
        "python=3.11,os=debian",
        "python=3.11,os=debian/x",
    ]


def test_a_matrix_may_have_a_thousand_combinations_and_not_one_more():
    assert len(matrix(a=range(CELLS_MAX))) == CELLS_MAX
    with pytest.raises(ValueError, match="may have 1000 combinations"):
        matrix(a=range(CELLS_MAX + 1))
    with pytest.raises(ValueError, match="may have 1000 combinations"):
        matrix(a=range(10**4), b=range(10**4), c=range(10**4))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"os": "debian"}, r"os must be a list of values, like os=\['debian'\]"),
        ({"os": []}, "os has no values"),
        ({"python": [3.10]}, "'3.10' is not '3.1'"),
        ({"os": [None]}, "must have texts, whole numbers or booleans, not None"),
        ({"os": ["a/b"]}, "cannot be in a step's name"),
        ({"os": ["a", "a"]}, "matrix has os=a twice"),
        ({"a": [1], "include": [{"a": 1}]}, "matrix has a=1 twice"),
        ({"a": [1], "exclude": [{"b": 1}]}, "fits no combination"),
        ({"a": [1], "exclude": [{}]}, "must be a list of dicts"),
        ({"a": [1], "include": {"a": 1}}, "must be a list of dicts of values, not of 'a'"),
        ({"a": ["x" * 255]}, "may have 256 characters"),
    ],
)
def test_a_wrong_matrix_says_what_would_be_right(wrong, says):
    with pytest.raises((TypeError, ValueError), match=says):
        staunch.matrix(**wrong)
