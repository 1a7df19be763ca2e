"""An export is whole or refused; replayed, it says what is recorded or where it would differ."""

from pathlib import Path

import msgspec
import pytest

from ci_host.cli.exports import bundle_of, told
from ci_host.engine.replays import Played, replay
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.bundle import Bundle
from pipelines.events import KillRequested
from pipelines.export import (
    BadExport,
    Export,
    ExportedInput,
    ExportedTurn,
    decode_export,
    encode_export,
)
from pipelines.ids import Digest, RunId
from tests.engine.world import FILE, MemoryWorld, finished, memory_world, until

pytestmark = pytest.mark.anyio

PLAN = """
async def run(event, step):
    n = await step.do("count", lambda: 3)
    await step.do("secret", lambda: "hush", sensitive=True)
    await step.job("build", run="make")
    await step.gate("ship", timeout="1h")
    return n
"""


async def exported(world: MemoryWorld, run: RunId) -> Export:
    stored = await world.history.read(run)
    inputs = [ExportedInput(one.sequence, one.at, one.input) for one in stored.inputs]
    turns = [ExportedTurn(one.sequence, one.turn) for one in stored.turns]
    first = Export(Bundle(files={}), inputs, turns).started
    return Export(await world.bundles.get(Digest(first.bundle)), inputs, turns)


@pytest.fixture
async def export(tmp_path: Path) -> Export:
    """A Run that waits at its gate."""
    async with memory_world(tmp_path) as world:
        run = await world.begin(PLAN)
        await until(lambda: world.jobs.offers)
        await world.history.append_input(run, finished(run, "build"))
        await until(lambda: len(world.history._records[run].turns) == 2)
        return await exported(world, run)


def check(export: Export, source: str | None = None) -> list[Played]:
    other = None if source is None else Bundle(files={FILE: source})
    return list(replay(export, TenantHost(NativeImage()), other))


async def test_a_file_holds_the_whole_run_but_nothing_sensitive(export: Export) -> None:
    content = encode_export(export)
    assert b'"hush"' not in content.replace(export.bundle.encode(), b"")
    known = decode_export(content)
    assert (known.inputs, known.bundle) == (export.inputs, export.bundle)
    assert [one.turn.digest for one in known.turns] == [one.turn.digest for one in export.turns]


@pytest.mark.parametrize("keep", [0, 1, 2, -1])
async def test_a_file_that_was_cut_is_refused(export: Export, keep: int) -> None:
    lines = encode_export(export).splitlines(keepends=True)
    with pytest.raises(BadExport, match=r"cut|no file"):
        decode_export(b"".join(lines[:keep]))


async def test_every_changed_byte_is_found_out(export: Export) -> None:
    content = encode_export(export)
    for at in range(0, len(content), 97):
        spoilt = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(BadExport):
            decode_export(spoilt)


@pytest.mark.parametrize("field", ["staunch_export", "codec"])
async def test_a_file_of_a_newer_staunch_is_refused_as_such(export: Export, field: str) -> None:
    first, rest = encode_export(export).split(b"\n", 1)
    header = {**msgspec.json.decode(first), field: 99}
    with pytest.raises(BadExport, match="newer Staunch"):
        decode_export(msgspec.json.encode(header) + b"\n" + rest)


async def test_a_history_replays_as_recorded_from_its_file_alone(export: Export) -> None:
    played = check(decode_export(encode_export(export)))
    assert [one.divergence for one in played] == ["", ""]
    text = "\n".join(line for one in played for line in told(one, in_full=True))
    for said in ("turn 2", "job_finished", "gate ship", "do count succeeded = 3"):
        assert said in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("old", "new", "turn", "said"),
    [
        ('"make"', '"make all"', 1, "job 'build'"),
        ('"count"', '"counts"', 1, "do 'counts'"),
        ('"ship", timeout="1h"', '"ship", timeout="2h"', 2, "gate 'ship'"),
        ('    await step.gate("ship", timeout="1h")\n', "", 2, "no further step"),
        ('await step.job("build"', 'raise ValueError("no")\n    await step.job("build"', 1, "no f"),
        ("async def run", "def run", 1, "replay failed"),
        ("    n =", "   n =", 1, "pipeline.py:4"),
    ],
)
async def test_other_code_differs_at_a_turn_and_a_step(
    export: Export, old: str, new: str, turn: int, said: str
) -> None:
    *before, last = check(export, PLAN.replace(old, new))
    assert [one.divergence for one in before] == [""] * (turn - 1)
    assert last.turn.number == turn
    assert said in last.divergence


async def test_code_that_would_decide_the_same_replays(export: Export) -> None:
    assert not any(p.divergence for p in check(export, PLAN.replace("lambda: 3", "lambda: 1 + 2")))


async def test_a_run_that_was_killed_replays_up_to_its_end(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(PLAN)
        await until(lambda: world.jobs.offers)
        await world.history.append_input(run, KillRequested(id="k", by="ada"))
        await world.ended(run)
        played = check(await exported(world, run))
    assert [(one.by_host, one.divergence) for one in played] == [(False, ""), (True, "")]


def test_code_is_read_from_a_directory(tmp_path: Path) -> None:
    (tmp_path / ".staunch" / "parts").mkdir(parents=True)
    (tmp_path / FILE).write_text(PLAN)
    (tmp_path / ".staunch/parts/more.py").write_text("X = 1\n")
    (tmp_path / ".staunch/picture.png").write_bytes(b"\x89PNG")
    assert bundle_of(tmp_path).files == {FILE: PLAN, ".staunch/parts/more.py": "X = 1\n"}
