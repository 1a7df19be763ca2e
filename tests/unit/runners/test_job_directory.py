import os

import pytest

from runners import job_directory


def test_state_is_read_off_three_files(tmp_path):
    directory = str(tmp_path)
    assert job_directory.state_of(directory) == job_directory.STARTING
    lock = job_directory.take_lock(directory)
    assert job_directory.state_of(directory) == job_directory.RUNNING
    assert job_directory.mark_started(directory)
    assert job_directory.state_of(directory) == job_directory.RUNNING
    os.close(lock)
    assert job_directory.state_of(directory) == job_directory.LOST
    job_directory.write_record(directory, job_directory.EXIT, {"outcome": "failed"})
    assert job_directory.state_of(directory) == job_directory.DONE


def test_the_lock_is_held_once_and_outlives_the_descriptor_that_looked(tmp_path):
    directory = str(tmp_path)
    lock = job_directory.take_lock(directory)
    assert job_directory.take_lock(directory) is None
    assert job_directory.state_of(directory) == job_directory.RUNNING
    assert job_directory.take_lock(directory) is None
    os.close(lock)


def test_a_job_is_marked_as_started_once(tmp_path):
    assert job_directory.mark_started(str(tmp_path))
    assert not job_directory.mark_started(str(tmp_path))


def test_records_are_replaced_whole_and_absent_ones_are_none(tmp_path):
    directory = str(tmp_path)
    assert job_directory.read_record(directory, "x.json") is None
    job_directory.write_record(directory, "x.json", {"a": 1})
    job_directory.write_record(directory, "x.json", {"b": "ü"})
    assert job_directory.read_record(directory, "x.json") == {"b": "ü"}
    assert os.listdir(directory) == ["x.json"]


def test_a_process_is_known_by_more_than_its_number():
    me = job_directory.identity_of(os.getpid())
    assert me is not None
    assert me["pid"] == os.getpid()
    assert me["starttime"] > 0
    assert job_directory.identity_of(2**22 + 1) is None


@pytest.mark.parametrize(
    "module", ["runners.keeper", "runners.shim", "runners.spawn", "runners.job_directory"]
)
def test_the_shim_needs_nothing_but_a_little_standard_library(module):
    import subprocess
    import sys

    from tests.runner_world import ROOT

    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}; "
        "print(*sorted(sys.modules))"
    )
    words = [sys.executable, "-I", "-S", "-c", code]
    loaded = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    assert not {"msgspec", "asyncio", "typing_extensions", "subprocess", "dataclasses"} & set(
        loaded
    )
