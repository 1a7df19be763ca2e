"""Every golden history is read, and replays as recorded, in every kind of sandbox."""

from pathlib import Path

import pytest

from ci_host.engine.replays import replay
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.codec import CODEC
from pipelines.commands import StepKind
from pipelines.events import Input
from pipelines.export import decode_export, encode_export
from pipelines.run import RunState
from tests.golden.features import features_of

# A plan that is let go of inside a `finally` that awaits is one that Python complains about.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

GOLDEN = sorted(Path(__file__).parent.glob("codec-*/*.jsonl"))


@pytest.fixture(scope="module", params=["native", pytest.param("wasm", marks=pytest.mark.sandbox)])
def sandbox(request):
    host = TenantHost(
        NativeImage() if request.param == "native" else request.getfixturevalue("wasm_image")
    )
    yield host
    host.close()


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_a_golden_history_replays_as_recorded(path, sandbox):
    export = decode_export(path.read_bytes())
    played = list(replay(export, sandbox))
    assert [one.divergence for one in played] == [""] * len(export.turns)


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_a_golden_history_is_written_as_it_was_read(path):
    export = decode_export(path.read_bytes())
    assert decode_export(encode_export(export)) == export


def test_the_golden_histories_of_todays_codec_show_every_verb_and_input():
    shown = set()
    for path in GOLDEN:
        if path.parent.name == f"codec-{CODEC}":
            shown |= features_of(decode_export(path.read_bytes()))
    wanted = {f"asks {kind}" for kind in StepKind}
    wanted |= {f"input {one.__struct_config__.tag}" for one in Input.__args__}
    wanted |= {"recalled", "supposed"}
    wanted |= {f"run {state}" for state in RunState if state != RunState.PENDING}
    assert wanted - shown == set(), "make them: python -m tests.golden"
