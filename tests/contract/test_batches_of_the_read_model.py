"""The read model is the same however the messages came in batches, and is read as of one moment."""

from pathlib import Path

import pytest
from sqlalchemy import event
from sqlmodel import SQLModel

from ci_host.adapters.sql import fold, queries
from ci_host.adapters.sql.read_model import Change, ReadModel
from pipelines.export import Export, decode_export

GOLDEN = Path(__file__).parents[1] / "golden" / "codec-1"


def changes_of(export: Export) -> list[Change]:
    """Its messages as the projector folds them, in the order of the stream."""
    run = export.started.run
    changes = [
        Change(
            one.sequence,
            lambda rows, one=one: fold.fold_input(rows, run, one.sequence, one.at, one.input),
            run,
        )
        for one in export.inputs
    ] + [
        Change(
            one.sequence,
            lambda rows, one=one: fold.fold_turn(rows, run, one.sequence, one.turn),
            run,
        )
        for one in export.turns
    ]
    return sorted(changes, key=lambda change: change.sequence)


def folded(folder: Path, size: int) -> dict[str, list[tuple[object, ...]]]:
    """What every table holds when each History was folded in batches of this size."""
    model = ReadModel(f"sqlite:///{folder}/{size}.sqlite")
    for path in sorted(GOLDEN.glob("*.jsonl")):
        changes = changes_of(decode_export(path.read_bytes()))
        assert changes, path
        for first in range(0, len(changes), size):
            model.apply(path.name, changes[first : first + size])
    with model.engine.connect() as connection:
        found = {
            name: sorted(map(tuple, connection.execute(table.select())), key=repr)
            for name, table in SQLModel.metadata.tables.items()
        }
    model.close()
    return found


@pytest.mark.parametrize("size", [2, 5, 1000])
def test_a_batch_of_any_size_makes_the_same_tables(tmp_path: Path, size: int) -> None:
    one_by_one = folded(tmp_path, 1)
    assert one_by_one["steps"]
    assert folded(tmp_path, size) == one_by_one


def test_a_run_is_read_as_of_one_moment_while_it_is_folded(tmp_path: Path) -> None:
    path = min(GOLDEN.glob("*.jsonl"))
    export = decode_export(path.read_bytes())
    *before, last = changes_of(export)
    assert last.sequence == export.turns[-1].sequence
    model = ReadModel(f"sqlite:///{tmp_path / 'a'}")
    model.apply("S", before)
    late = [last]

    def fold_between(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if late and statement.startswith("SELECT"):
            model.apply("S", [late.pop()])

    # The last Turn is folded as soon as the reader has read the Run's own row.
    event.listen(model.engine, "after_cursor_execute", fold_between)
    first = queries.run_detail(model, export.started.run)
    second = queries.run_detail(model, export.started.run)
    assert first is not None
    assert second is not None
    assert not late
    assert len(first.turns) == len(export.turns) - 1
    assert (first.run.state, second.run.state) == ("paused", "failed")
    assert len(second.turns) == len(export.turns)
    model.close()
