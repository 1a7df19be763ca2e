"""Ends: how a piece of a plan may end, and so how what is made of several pieces may."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ends:
    """How a node may end: with a value that fits `value`, or with one of these errors.

    `value` None: it always raises. `raises` empty: it never does.
    """

    value: Callable[[Any], bool] | None
    raises: frozenset[str] = frozenset()


def exactly(value: Any) -> Ends:
    """It gives this and nothing else."""
    return Ends(lambda found: bool(found == value))


def error(name: str) -> Ends:
    """It raises this and nothing else."""
    return Ends(None, frozenset([name]))


@dataclass(frozen=True, slots=True)
class Node:
    """The body of one async function of the pipeline, and how it may end."""

    body: str
    ends: Ends


def one_line(line: str, ends: Ends) -> Node:
    """A node of one line."""
    return Node("    " + line, ends)


def _list_of(ends: list[Ends]) -> Callable[[Any], bool] | None:
    fits = [one.value for one in ends]
    if any(fit is None for fit in fits):
        return None
    return lambda found: (
        isinstance(found, list)
        and len(found) == len(fits)
        and all(fit is not None and fit(one) for fit, one in zip(fits, found, strict=True))
    )


def in_sequence(ends: list[Ends]) -> Ends:
    """One after another: the first that must raise ends it."""
    raises: frozenset[str] = frozenset()
    for one in ends:
        raises |= one.raises
        if one.value is None:
            return Ends(None, raises)
    return Ends(_list_of(ends), raises)


def at_once(ends: list[Ends]) -> Ends:
    """Together, and the first that raises decides."""
    return Ends(_list_of(ends), frozenset[str]().union(*(one.raises for one in ends)))


def all_ended(ends: list[Ends]) -> Ends:
    """Together, and all end before anything is raised."""
    breaking = [one for one in ends if one.raises]
    sure = [one for one in breaking if one.value is None]
    single = frozenset[str]().union(*(one.raises for one in breaking))
    if len(sure) > 1:
        return Ends(None, frozenset(["ExceptionGroup"]))
    several = frozenset(["ExceptionGroup"]) if len(breaking) > 1 else frozenset[str]()
    return Ends(_list_of(ends), single | several)
