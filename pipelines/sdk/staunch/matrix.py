"""`matrix(…)`: every combination of some values, each with a name for its steps."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from staunch.step import NAME_CHARS_MAX

Value = str | int | bool

CELLS_MAX = 1000


class Cell(dict[str, Any]):
    """One combination, by axis; `name` is like `python=3.13,os=debian`."""

    __slots__ = ("name",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self.name = ",".join(f"{axis}={value}" for axis, value in values.items())


def matrix(
    *,
    exclude: Sequence[Mapping[str, Value]] = (),
    include: Sequence[Mapping[str, Value]] = (),
    **axes: Sequence[Value],
) -> list[Cell]:
    """Every combination of the axes' values, the last axis fastest.

    Without those that have all the values of one of `exclude`, and followed by those of `include`.
    Raises TypeError or ValueError.
    """
    for axis, values in axes.items():
        _check_axis(axis, values)
    cells = list(itertools.islice(_combinations(axes), CELLS_MAX + 1))
    for part in exclude:
        left = [cell for cell in cells if not _fits(cell, _checked(part, "exclude"))]
        if len(left) == len(cells):
            raise ValueError(f"matrix's exclude has {dict(part)!r}, which fits no combination")
        cells = left
    cells += [Cell(_checked(one, "include")) for one in include]
    if len(cells) > CELLS_MAX:
        raise ValueError(f"a matrix may have {CELLS_MAX} combinations, and this one has more")
    _check_names(cells)
    return cells


def _combinations(axes: Mapping[str, Sequence[Value]]) -> Iterator[Cell]:
    if axes:
        for values in itertools.product(*axes.values()):
            yield Cell(dict(zip(axes, values, strict=True)))


def _fits(cell: Cell, part: Mapping[str, Value]) -> bool:
    return all(axis in cell and cell[axis] == value for axis, value in part.items())


def _check_axis(axis: str, values: object) -> None:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"matrix's {axis} must be a list of values, like {axis}=[{values!r}]")
    if not values:
        raise ValueError(f"matrix's {axis} has no values, so there would be no combinations")
    for value in values:
        _check_value(axis, value)


def _checked(part: object, what: str) -> Mapping[str, Value]:
    if not isinstance(part, Mapping) or not part:
        raise TypeError(f"matrix's {what} must be a list of dicts of values, not of {part!r}")
    for axis, value in part.items():
        if not isinstance(axis, str):
            raise TypeError(f"matrix's {what} has {axis!r}, which is no name")
        _check_value(axis, value)
    return part


def _check_value(axis: str, value: object) -> None:
    if isinstance(value, float):
        raise TypeError(
            f"matrix's {axis} has the number {value!r}; write it as a text: 3.10 is the same number"
            " as 3.1, and '3.10' is not '3.1'"
        )
    if not isinstance(value, str | int):
        raise TypeError(
            f"matrix's {axis} must have texts, whole numbers or booleans, not {value!r}"
        )
    if isinstance(value, str) and ("/" in value or "#" in value or not value.isprintable()):
        raise ValueError(
            f"matrix's {axis} has {value!r}, which cannot be in a step's name; use a short name and"
            " look the value up by it"
        )


def _check_names(cells: list[Cell]) -> None:
    seen: set[str] = set()
    for cell in cells:
        if cell.name in seen:
            raise ValueError(f"matrix has {cell.name} twice")
        if len(cell.name) > NAME_CHARS_MAX:
            raise ValueError(
                f"a combination's name may have {NAME_CHARS_MAX} characters: {cell.name}"
            )
        seen.add(cell.name)
