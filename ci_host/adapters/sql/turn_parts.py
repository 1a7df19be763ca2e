"""TurnParts: what one Turn took, asked for and found out, in the few words of the history view.

Kept beside the Turn's row and read for the Turns that are shown alone: a Run may have thousands.
"""

from collections.abc import Mapping

import msgspec
from sqlmodel import Session, col, select

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.tables import TurnRow
from pipelines.status import shorten
from pipelines.turn import Turn

# Of the inputs, the commands and the results of one Turn, each; the rest is counted.
PARTS_MAX = 200
PART_CHARS_MAX = 300


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command."""

    kind: str
    key: str
    attempt: int = 1


class Settled(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result; `said` is why it is none that was hoped for, `recalled_from` the Run that found it
    out."""

    kind: str
    key: str
    state: str
    attempt: int = 1
    said: str = ""
    recalled_from: str = ""


class TurnParts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`consumed` are sequences of inputs; `waits` says what the Run waited for after the Turn;
    `note`: what the plan said of itself; `error`: why the Run ended."""

    consumed: list[int] = []
    asked: list[Asked] = []
    settled: list[Settled] = []
    waits: str = ""
    note: str = ""
    error: str = ""


def encoded_parts(turn: Turn, waits: str) -> str:
    """The parts of a Turn as its row keeps them."""
    parts = TurnParts(
        consumed=turn.consumed[:PARTS_MAX],
        asked=[Asked(one.kind, one.key, one.attempt) for one in turn.commands[:PARTS_MAX]],
        settled=[
            Settled(
                one.kind,
                one.key,
                one.state,
                one.attempt,
                shorten(one.error.message, PART_CHARS_MAX) if one.error else "",
                one.recalled_from,
            )
            for one in turn.results[:PARTS_MAX]
        ],
        waits=shorten(waits, PART_CHARS_MAX),
        note=turn.note.words() if turn.note else "",
        error=shorten(turn.end.error.message, PART_CHARS_MAX)
        if turn.end and turn.end.error
        else "",
    )
    return msgspec.json.encode(parts).decode()


def turn_parts(model: ReadModel, run: str, first: int, last: int) -> Mapping[int, TurnParts]:
    """Those of the Turns from `first` through `last`, by their numbers."""
    query = (
        select(TurnRow.number, TurnRow.parts_json)
        .where(TurnRow.run == run)
        .where(col(TurnRow.number).between(first, last))
    )
    with Session(model.engine) as session:
        return {
            number: msgspec.json.decode(text, type=TurnParts)
            for number, text in session.exec(query).all()
        }
