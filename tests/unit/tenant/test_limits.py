"""What a Tenant may not do, and how its author is told. All of it in the real sandbox."""

from dataclasses import replace

import pytest

from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import SandboxStarved, TenantFailed
from ci_host.tenant.threads import sandbox_threads
from pipelines.bundle import Bundle
from tests.tenants import FILE, Play, finished, plan

pytestmark = pytest.mark.sandbox


@pytest.fixture
def host(wasm_image):
    """A host with little patience."""
    host = TenantHost(wasm_image, replace(Limits(), turn_s=0.3, prepare_s=0.5))
    yield host
    host.close()


TRIES = 30


def stopped(act):
    """The Failure that an act ends with; one that is starved by a busy machine is tried again, as
    an engine does."""
    for _ in range(TRIES):
        try:
            act()
        except TenantFailed as error:
            if error.failure.type != "TimeExceeded" or error.failure.file:
                return error.failure
            # Whoever looked for the line was starved.
        except SandboxStarved:
            pass
        else:
            raise AssertionError("nothing was stopped")
    raise AssertionError(f"this machine was too busy {TRIES} times")


def failure(host, body, top=""):
    """A Run whose plan breaks its sandbox, and the Failure of it."""
    runs = []

    def start():
        runs.append(Play(host, plan(body, top)))
        runs[-1].start()

    failed = stopped(start)
    return runs[-1], failed


def line_of(run, failure):
    assert failure.file == FILE
    return run.source.splitlines()[failure.line - 1].strip()


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("while True:\n    pass", "pass"),
        ("while True:\n    try:\n        1 / 0\n    except BaseException:\n        pass", ""),
        ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", "re.match('(a+)+$', 'a' * 40 + 'b')"),
        ("n = 7\nn = 7 ** 10 ** 8", "n = 7 ** 10 ** 8"),
        ("while True:\n    await asyncio.sleep(0)", "await asyncio.sleep(0)"),
    ],
)
def test_a_turn_that_takes_too_long_is_stopped_and_its_line_named(host, body, line):
    run, failed = failure(host, body)
    assert failed.type == "TimeExceeded"
    assert "used more than 0.3 s of CPU in one turn" in failed.message
    assert line in line_of(run, failed)


def test_the_line_is_found_in_a_later_turn_too(host):
    source = plan("await step.job('a', 'x')\nawait step.job('b', 'x')\nwhile True: pass")

    def two_turns():
        run = Play(host, source)
        run.start()
        run.job("a")
        run.turn(finished("b"))

    assert "while True: pass" in line_of(Play(host, source), stopped(two_turns))


def test_an_endless_import_is_stopped_and_its_line_named(host):
    bundle = Bundle(files={FILE: "x = 1\nwhile True:\n    x += 1\n"})
    failed = stopped(lambda: host.prepare(bundle))
    assert failed.where().startswith(".staunch/pipeline.py:")
    assert "0.5 s of CPU in importing" in failed.message


def test_too_much_memory_is_a_memory_error_with_its_line(wasm_image):
    host = TenantHost(wasm_image, Limits(turn_s=30.0))
    run = Play(host, plan("kept = []\nwhile True: kept.append(bytearray(10_000_000))"))
    error = run.start().end.error
    run.tenant.close()
    host.close()
    assert error.type == "MemoryError"
    assert "kept.append" in line_of(run, error)


def test_one_huge_block_is_a_memory_error(host):
    assert Play(host, plan("bytearray(10 ** 9)")).start().end.error.type == "MemoryError"


def test_endless_recursion_is_an_error_with_its_line_and_a_short_traceback(host):
    run = Play(host, plan("down()", "def down(): down()"))
    error = run.start().end.error
    assert error.type == "RecursionError"
    assert "def down()" in line_of(run, error)
    assert error.traceback.count("in down") == 3


def test_c_recursion_traps_in_the_sandbox_and_not_in_the_host(host):
    body = """
    nested = []
    for _ in range(100_000):
        nested = [nested]
    repr(nested)
    """
    with sandbox_threads(1) as threads:
        run, failed = threads.submit(failure, host, body).result()
    assert failed.type in ("StackExhausted", "RecursionError")
    assert "repr(nested)" in line_of(run, failed)


def test_a_parser_bomb_does_not_reach_the_host(host):
    with sandbox_threads(1) as threads:
        run = Play(host, plan("compile('(' * 100_000, 'x', 'eval')"))
        end = threads.submit(run.start).result()
    assert end.end.state == "failed"


def test_unbounded_printing_is_stopped(host):
    error = Play(host, plan("while True: print('x' * 100)")).start().end.error
    assert "more than 65536 characters" in error.message


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("import os\nos._exit(3)", "wasi:cli/exit"),
        ("import _socket\n_socket.socket()", "wasi:sockets/tcp-create-socket"),
        ("import os\nos.read(0, 1)", "wasi:cli/stdin"),
        ("import select\nselect.select([], [], [], 1)", "wasi:clocks/monotonic-clock"),
    ],
)
def test_what_a_sandbox_has_not_is_named_with_the_line_that_used_it(host, body, what):
    run, failed = failure(host, body)
    assert failed.type == "NotInSandbox"
    assert what in failed.message
    assert line_of(run, failed) == body.splitlines()[-1]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("open('/etc/passwd')", "FileNotFoundError"),
        ("open('x', 'w')", "FileNotFoundError"),
        ("import os\nos.listdir('/')", "FileNotFoundError"),
        ("import socket\nsocket.socket()", "PermissionError"),
        ("import urllib.request\nurllib.request.urlopen('http://example.org')", "URLError"),
        ("import subprocess\nsubprocess.run(['true'])", "OSError"),
        ("import threading\nthreading.Thread(target=print).start()", "RuntimeError"),
        ("import time\ntime.sleep(1)", "RuntimeError"),
        ("input()", "RuntimeError"),
    ],
)
def test_the_outer_world_is_an_ordinary_error(host, body, error):
    assert Play(host, plan(body)).start().end.error.type == error


def test_there_is_no_environment(host):
    body = "import os, sys\nreturn [dict(os.environ), os.getcwd(), sys.argv[1:]]"
    assert Play(host, plan(body)).start().end.output == [{}, "/", []]


def test_what_is_written_past_python_is_printed_text_too(host):
    body = "import os, sys\nos.write(1, b'one ')\nsys.__stderr__.write('two')"
    assert Play(host, plan(body)).start().printed == "one two"


def test_every_clock_says_the_runs_time_within_a_turn_too(host):
    body = """
    import time
    from datetime import UTC, datetime
    seen = []
    def look():
        loop = asyncio.get_running_loop()
        seen.append([loop.time(), time.time(), time.monotonic(), datetime.now(UTC).timestamp()])
    look()
    await asyncio.sleep(10.5)
    look()
    await asyncio.sleep(10)
    look()
    return seen
    """
    run = Play(host, plan(body))
    begin = run.start().now
    end = run.turn(finished("nobody"), after=100.0)
    assert [row[0] - begin for row in end.end.output] == [0.0, 10.5, 20.5]
    for loop_time, *others in end.end.output:
        assert others == pytest.approx([loop_time] * 3, abs=1e-5)


def test_all_dice_come_from_the_seed(host):
    body = """
    import os, secrets, uuid
    return [random.random(), os.urandom(4).hex(), secrets.token_hex(4), str(uuid.uuid4()),
            random.Random().random(), random.SystemRandom().random()]
    """
    one, two, other = (Play(host, plan(body), seed=seed).start() for seed in ("a", "a", "b"))
    assert one.end.output == two.end.output
    assert not set(one.end.output) & set(other.end.output)


def test_the_order_of_sets_and_hashes_is_that_of_the_image(host):
    body = "return [list({'a', 'b', 'c', 'd', 'e'}), hash('x')]"
    assert len({repr(Play(host, plan(body)).start().end.output) for _ in range(3)}) == 1


def test_nothing_of_one_tenant_is_seen_by_another(host):
    vandal = """
    import json
    json.dumps = lambda *_: "broken"
    random.shared = 1
    """
    Play(host, plan(vandal)).start()
    body = "import json\nreturn [json.dumps([1]), hasattr(random, 'shared')]"
    assert Play(host, plan(body)).start().end.output == ["[1]", False]


def test_a_plan_that_bends_the_driver_fails_alone(host):
    run = Play(host, plan("import app\napp.EXPORTS.advance = lambda _: 'nonsense'"))
    run.start()
    with pytest.raises(TenantFailed) as caught:
        run.turn(finished("x"))
    assert caught.value.failure.type == "SandboxBroken"
    assert Play(host, plan("return 1")).start().end.output == 1
