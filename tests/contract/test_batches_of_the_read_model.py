"""The read model is the same however the messages came together in batches."""

from pathlib import Path

import pytest
from sqlmodel import SQLModel

from ci_host.adapters.sql import fold
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
