"""What tests of services need: a PostgreSQL and a Redis of this machine, as images and as commands.

Debian's packages `postgresql` and `redis-server` have them; where they are not, tests are skipped,
but never in CI.
"""

import os
from pathlib import Path

import pytest

from pipelines.service import Service
from tests.oci import Maker, copied, entry, folder, programs

POSTGRES = Path("/usr/lib/postgresql/15/bin")
REDIS = Path("/usr/bin/redis-server")
IS_THERE = POSTGRES.is_dir() and REDIS.exists()
needs_servers = pytest.mark.skipif(
    not IS_THERE and "CI" not in os.environ, reason="no postgresql and redis-server"
)

DATABASE = Service(
    name="db",
    run=f'{POSTGRES}/initdb -D "$HOME/data" -U postgres -A trust >/dev/null\n'
    f'exec {POSTGRES}/postgres -D "$HOME/data" -k /tmp -c fsync=off',
    ready=f"{POSTGRES}/pg_isready -h 127.0.0.1",
)
STORE = Service(name="cache", run="exec redis-server --save '' --port 6379", port=6379)

# As those that are published do it: the folder is a volume, and made where it is empty.
ENTRYPOINT = f"""\
#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  {POSTGRES}/initdb -U "$POSTGRES_USER" -A trust >/dev/null
fi
exec "$@"
"""
DATA = "/var/lib/postgresql/data"


def offer_servers(offered: Path) -> None:
    """Put images `postgres` and `redis` into the folder; that of Redis has no shell."""
    tree = "/usr/share/postgresql/15"
    library = POSTGRES.parent / "lib"
    names = ("postgres", "initdb", "pg_isready")
    database = copied(*(POSTGRES / one for one in names), trees=[tree, library])
    script = entry("usr/local/bin/entrypoint", ENTRYPOINT.encode())
    top = [folder("var"), folder("var/lib"), folder("var/lib/postgresql"), folder(DATA[1:]), script]
    from tests.oci import layer

    Maker(offered / "postgres").image(
        programs(),
        database,
        layer(*top),
        tag="15",
        env=[f"PGDATA={DATA}", "LANG=C", f"PATH={POSTGRES}:/usr/local/bin:/usr/bin"],
        Entrypoint=["entrypoint"],
        Cmd=["postgres", "-k", "/tmp", "-c", "fsync=off"],
        Volumes={DATA: {}},
    )
    Maker(offered / "redis").image(copied(REDIS), tag="7", Cmd=[str(REDIS), "--save", ""])
