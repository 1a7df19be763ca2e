"""The filter of system calls: as the table says, for every call there is, and in a job for real."""

import errno
import json
import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.job import ShellStep
from runners import seccomp
from runners.executors.podman import Podman
from runners.seccomp import (
    ALLOW,
    AUDIT_ARCH,
    CLONE,
    CLONE3,
    EAFNOSUPPORT,
    ENOSYS,
    EPERM,
    FAMILIES,
    IOCTL,
    MACHINES,
    NAMESPACE_FLAGS,
    REFUSED,
    SOCKET,
    SOCKETPAIR,
    TERMINAL_TRICKS,
    X32_BIT,
    instructions,
    program,
)
from tests.runner_world import make_spec

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
NUMBERS = sorted(
    {n for pair in (*REFUSED.values(), CLONE, CLONE3, IOCTL, SOCKET, SOCKETPAIR) for n in pair if n}
)
TELLING = [
    *(0, 1, 2, 9, 10, 16, 17, 38, 40, 0x5412, 0x541C, 0x10000000, 0x00020000),
    *(0x5412 | 1 << 32, 0x10000011, 17 | 1 << 40, 2 | 1 << 63),
]
CALLS = st.tuples(
    st.sampled_from(list(MACHINES)),
    st.one_of(st.sampled_from([*AUDIT_ARCH, 0x40000003, 0x40000028]), U32),
    st.one_of(
        st.sampled_from(NUMBERS),
        st.sampled_from(NUMBERS).map(lambda number: number | X32_BIT),
        st.integers(0, 500),
        U32,
    ),
    st.lists(st.one_of(st.sampled_from(TELLING), U64), min_size=6, max_size=6),
)


def ruled(machine: str, architecture: int, number: int, arguments: list[int]) -> int:
    """What the kernel's interpreter would make of a call; it runs backwards nowhere."""
    words = [number, architecture, 0, 0]
    for argument in arguments:
        words += [argument & 0xFFFFFFFF, argument >> 32]
    found = instructions(machine)
    at, value = 0, 0
    while True:
        code, yes, no, operand = found[at]
        at += 1
        match code:
            case seccomp.LOAD:
                assert operand % 4 == 0
                value = words[operand // 4]
            case seccomp.EQUAL:
                at += yes if value == operand else no
            case seccomp.AT_LEAST:
                at += yes if value >= operand else no
            case seccomp.ANY_BIT:
                at += yes if value & operand else no
            case seccomp.RETURN:
                return operand


def expected(machine: str, architecture: int, number: int, arguments: list[int]) -> int:
    """The rules, said once more."""
    at = MACHINES[machine]
    if architecture != AUDIT_ARCH[at] or (machine == "x86_64" and number >= X32_BIT):
        return ENOSYS
    if number in {numbers[at] for numbers in REFUSED.values()}:
        return EPERM
    first, second = arguments[0] % 2**32, arguments[1] % 2**32
    if number == CLONE3[at]:
        return ENOSYS
    if number == CLONE[at]:
        return EPERM if first & NAMESPACE_FLAGS else ALLOW
    if number == IOCTL[at]:
        return EPERM if second in TERMINAL_TRICKS else ALLOW
    if number in (SOCKET[at], SOCKETPAIR[at]):
        return ALLOW if first in FAMILIES else EAFNOSUPPORT
    return ALLOW


@given(CALLS)
def test_every_call_is_ruled_as_the_table_says(call: tuple[str, int, int, list[int]]) -> None:
    assert ruled(*call) == expected(*call)


@pytest.mark.parametrize("machine", list(MACHINES))
def test_a_program_is_one_that_the_kernel_takes(machine: str) -> None:
    found = instructions(machine)
    assert len(found) <= 4096
    for at, (code, yes, no, _) in enumerate(found):
        assert at + 1 + max(yes, no) < len(found) or code == seccomp.RETURN
    assert found[-1].code == seccomp.RETURN
    whole = program(machine)
    assert whole is not None
    assert len(whole) == 8 * len(found)


def test_a_machine_of_another_kind_has_none() -> None:
    assert program("riscv64") is None


# Each attack answers what the kernel said: 0, or an errno. It runs in a process of its own.
ATTACKS = r"""
import ctypes, errno, fcntl, json, os, pty, socket, sys, tempfile
libc = ctypes.CDLL(None, use_errno=True)
at = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
calls = json.loads(os.environ["CALLS"])

def call(name, *arguments):
    number = calls[name][at]
    words = [ctypes.c_long(number)]
    words += [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return 0 if libc.syscall(*words) >= 0 else ctypes.get_errno()

def family(number):
    try:
        socket.socket(number, socket.SOCK_STREAM if number == 40 else socket.SOCK_RAW).close()
    except OSError as error:
        return error.errno
    return 0

def sneak(request):
    master, slave = pty.openpty()
    done = libc.ioctl(slave, ctypes.c_ulong(request), ctypes.c_char_p(b"x"))
    return 0 if done >= 0 else ctypes.get_errno()

buffer = ctypes.create_string_buffer(4096)
attacks = {
    "io_uring": lambda: call("io_uring_setup", 1, buffer),
    "keyring": lambda: call("keyctl", 0, -3, 1),
    "add a key": lambda: call("add_key", b"user", b"staunch", b"x", 1, -2),
    "trace": lambda: call("ptrace", 0, 0, 0, 0),
    "look into a process": lambda: call("process_vm_readv", os.getpid(), buffer, 0, buffer, 0, 0),
    "page faults": lambda: call("userfaultfd", 1),
    "compare processes": lambda: call("kcmp", os.getpid(), os.getpid(), 0, 0, 1),
    "a user namespace": lambda: call("unshare", 0x10000000),
    "a user namespace by clone": lambda: call("clone", 0x10000000 | 17, 0, 0, 0, 0),
    "an old clone of threads": lambda: call("clone3", 0, 0),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, 0),
    "a new mount": lambda: call("fsopen", b"tmpfs", 0),
    "a copied tree": lambda: call("open_tree", -100, b"/usr", 1),
    "bpf": lambda: call("bpf", 0, buffer, 72),
    "file handles": lambda: call("name_to_handle_at", -100, b"/usr", buffer, buffer, 0),
    "vsock": lambda: family(40),
    "crypto sockets": lambda: family(38),
    "packets": lambda: family(17),
    "typing into a terminal": lambda: sneak(0x5412),
    "typing with a high bit": lambda: sneak(0x5412 | 1 << 32),
    "pasting": lambda: sneak(0x541C),
}
said = {}
for name, attack in attacks.items():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"%d" % attack())
        os._exit(0)
    os.close(writer)
    said[name] = int(os.read(reader, 16) or b"-1")
    os.waitpid(child, 0)
print("SAID", json.dumps(said))
"""
# The filter alone holds these; the others are held by the missing rights as well.
BY_THE_FILTER = {
    *("keyring", "add a key", "trace", "look into a process", "compare processes", "file handles"),
}
OTHERS = {
    "an old clone of threads": errno.ENOSYS,
    "vsock": errno.EAFNOSUPPORT,
    "crypto sockets": errno.EAFNOSUPPORT,
    "packets": errno.EAFNOSUPPORT,
}


async def attacked(sandbox, key: str, **changes) -> dict[str, int]:
    table = {**REFUSED, "clone": CLONE, "clone3": CLONE3}
    env = {"ATTACKS": ATTACKS, "CALLS": json.dumps(table)}
    step = ShellStep(run='/usr/bin/python3 -c "$ATTACKS"', env=env)
    directory = await sandbox.start(make_spec(None, steps=[step], key=key), **changes)
    record = await sandbox.end(directory)
    log = (directory / "log").read_text()
    assert record["outcome"] == "succeeded", log
    [line] = [line for line in log.splitlines() if line.startswith("SAID ")]
    return json.loads(line.removeprefix("SAID "))


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.bwrap
@pytest.mark.skipif(platform.machine() not in MACHINES, reason="no filter for this machine")
async def test_in_a_job_each_is_refused_and_without_the_filter_some_would_not_be(sandbox) -> None:
    said = await attacked(sandbox, "with")
    assert said == {name: OTHERS.get(name, errno.EPERM) for name in said}
    without = await attacked(sandbox, "without", filter=seccomp_of_nothing(sandbox))
    assert {name for name in BY_THE_FILTER if without[name] == errno.EPERM} == set()
    assert {name for name in OTHERS if without[name] == OTHERS[name]} <= {"vsock", "crypto sockets"}


def seccomp_of_nothing(sandbox) -> str:
    """A filter that allows everything."""
    if isinstance(sandbox.executor, Podman):
        return b'{"defaultAction": "SCMP_ACT_ALLOW"}'.hex()
    return (0x06).to_bytes(2, "little").hex() + "0000" + ALLOW.to_bytes(4, "little").hex()


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.bwrap
async def test_what_jobs_do_all_day_works_under_the_filter(sandbox) -> None:
    daily = (
        "import concurrent.futures as f, multiprocessing as m, os, pty, socket, subprocess,"
        " tempfile, threading\n"
        "def double(x): return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    with f.ThreadPoolExecutor() as pool: assert list(pool.map(double, [1, 2])) == [2, 4]\n"
        "    with m.get_context('fork').Pool(2) as pool: assert pool.map(double, [3]) == [6]\n"
        "    m.Lock(); socket.socketpair(); pty.openpty(); tempfile.TemporaryFile()\n"
        "    s = socket.create_server(('127.0.0.1', 0))\n"
        "    socket.create_connection(s.getsockname())\n"
        "    open('/dev/null', 'w').write('x'); os.urandom(4); os.getrandom(4)\n"
        "    assert subprocess.check_output(['git', '--version'])\n"
        "    print('all of it')\n"
    )
    step = ShellStep(run='printf %s "$DAILY" > d.py; /usr/bin/python3 d.py', env={"DAILY": daily})
    record, log = await sandbox.run(make_spec(None, steps=[step]))
    assert record["outcome"] == "succeeded", log
    assert "all of it" in log


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.bwrap
async def test_what_a_job_can_write_in_memory_has_a_size(sandbox, monkeypatch) -> None:
    monkeypatch.setattr("runners.sandbox_profile.TMP_BYTES_MAX", 4_194_304)
    fill = (
        "for place in /tmp /dev/shm /home/job; do head -c 8000000 /dev/zero > $place/x"
        ' || stat -c "$place %s" $place/x; done; rm -f /tmp/x /dev/shm/x /home/job/x;'
        " if echo x > /dev/x; then echo ESCAPE; fi; echo x > /dev/shm/y && echo done"
    )
    record, log = await sandbox.run(make_spec(None, f"set +e\n{fill}"))
    assert record["outcome"] == "succeeded", log
    for place in ("/tmp", "/dev/shm", "/home/job"):
        assert f"{place} 4194304" in log
    assert "ESCAPE" not in log
    assert "\ndone\n" in log
