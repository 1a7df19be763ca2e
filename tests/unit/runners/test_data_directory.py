"""A runner's data directory: one agent, one name, and marks that are kept for a day."""

from pathlib import Path

import pytest

from runners.bootstrap import end_code
from runners.data_directory import DataDirectory, InUse


def test_a_data_directory_has_one_agent_and_one_name(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path / "data")
    with pytest.raises(InUse, match="give this one its own --data"):
        DataDirectory(tmp_path / "data")
    name = first.runner_id()
    first.close()
    again = DataDirectory(tmp_path / "data")
    assert again.runner_id() == name
    again.close()


def test_marks_of_reported_jobs_are_forgotten_after_a_day(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    data.mark_reported("0-x.y.1")
    marked_at = (data.root / "reported" / "0-x.y.1").stat().st_mtime
    data.forget_old(marked_at + 86_400)
    assert data.is_reported("0-x.y.1")
    data.forget_old(marked_at + 86_401)
    assert not data.is_reported("0-x.y.1")
    data.close()


@pytest.mark.parametrize(
    ("has_served", "is_turned_away", "code"),
    # The host's last answer to it may be lost, as the host lets it in no more.
    [(False, False, 0), (True, False, 0), (False, True, 1), (True, True, 0)],
)
def test_one_that_is_turned_away_after_its_one_job_ends_as_it_should(
    has_served: bool, is_turned_away: bool, code: int
) -> None:
    assert end_code(has_served=has_served, is_turned_away=is_turned_away) == code


def test_what_a_runner_has_reported_is_known_by_its_jobs(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    assert data.reported() == frozenset()
    data.mark_reported("0-x.y.1")
    assert data.reported() == {"0-x.y.1"}
    data.close()
