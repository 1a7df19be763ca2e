"""Services beside a job: in its network, ready before it begins, and gone with it."""

import os
from pathlib import Path

import pytest

from pipelines.service import Service
from runners import job_directory
from tests.executor_bench import cancel, log_of
from tests.runner_world import make_spec, pids_with, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.bwrap]

POSTGRES = Path("/usr/lib/postgresql/15/bin")
DATABASE = Service(
    name="db",
    run=f'{POSTGRES}/initdb -D "$HOME/data" -U postgres -A trust >/dev/null\n'
    f'exec {POSTGRES}/postgres -D "$HOME/data" -k /tmp -c fsync=off',
    ready=f"{POSTGRES}/pg_isready -h 127.0.0.1",
)
REDIS = Service(name="cache", run="exec redis-server --save '' --port 6379", port=6379)


def service_log(directory: Path, name: str) -> str:
    return (directory / job_directory.SERVICES / name / "log").read_text()


async def test_a_job_has_a_real_database_and_a_real_store_beside_it(sandbox):
    script = (
        f"{POSTGRES}/psql -h db -U postgres -c 'create table t as select 42 as answer'\n"
        f"{POSTGRES}/psql -h 127.0.0.1 -U postgres -Atc 'select answer from t'\n"
        "redis-cli -h cache set a 17\nredis-cli -h cache get a\n"
    )
    spec = make_spec(None, script, services=[DATABASE, REDIS])
    record, log = await sandbox.run(spec)
    assert record["outcome"] == "succeeded", log
    assert "\n42\n" in log
    assert "\n17\n" in log
