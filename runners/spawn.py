"""Starting and ending the one process that a shim keeps: bubblewrap, or a plain driver.

Here: pipes, dropping to the slot's user, limits, and killing all that was started. Not here: what
it is for. Standard library only; a fork and an exec by hand, since `subprocess` alone would cost
more than the sandbox.

Everything after the fork runs in the child, until exec: it has the shim's rights, so it takes care
to do only what the slot's user must not be able to do for itself (binding directories that this
user cannot reach, in a mount namespace of its own), and then gives them up for good.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import struct

from runners import network
from runners.job_directory import ANSWERS, ARGUMENTS, FILTER, INFO, ORDERS, OUTPUT, STAGE
from runners.processes import children_of, first_of_inner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

FIRST_FREE = 20
PIPE_BYTES = 1_048_576
# Slots have different users in one group: what a job leaves on a volume, the next may change.
UMASK = 0o002
INFO_WAIT_MS = 5_000

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MS_NOSUID, MS_NODEV = 0x2, 0x4
# mount_setattr(2), since Linux 5.12: the same number on every kind of machine.
SYS_MOUNT_SETATTR, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, 0x8000, 0x1
OVERLAY_BYTES_MAX = 1_073_741_824
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36

_libc = ctypes.CDLL(None, use_errno=True)


def become_keeper() -> None:
    """Orphans of the job come back to this process, and nobody may read its memory."""
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def wake_on_signals() -> int:
    """A descriptor that can be read once the keeper is told to stop; only that wakes it."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    return reader


class Child:
    """The started process, and the shim's ends of its pipes."""

    def __init__(
        self,
        pid: int,
        *,
        output: int,
        answers: int,
        orders: int,
        info: int,
        by_podman: bool = False,
    ) -> None:
        self.pid = pid
        self._by_podman = by_podman
        self.output = output
        self.answers = answers
        self._orders = orders
        self._info = info
        self._init: int | None = None
        self._init_handle: int | None = None
        self._exit_status: int | None = None

    def order(self, step: int) -> None:
        """Tell the driver to run a step. A driver that is gone is noticed by its exit."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, b"%d\n" % step)

    def order_shell(self, step: int, pty: int, term: str) -> None:
        """Tell the driver to run a shell in a terminal, where and as step `step` ran."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, f"{step} {pty} {term}\n".encode())

    def close_orders(self) -> None:
        """No more steps: the driver ends."""
        if self._orders >= 0:
            os.close(self._orders)
            self._orders = -1

    def find_init(self) -> None:
        """Learn the namespace's init, while the process that made it is surely alive."""
        if self._by_podman and self._init is None:
            self._init = first_of_inner(self.pid)
        elif self._info >= 0:
            self._init = _read_init(self._info)
            os.close(self._info)
            self._info = -1
        if self._init is not None and self._init_handle is None:
            # A handle, because a number may belong to somebody else by the time it is killed.
            with contextlib.suppress(ProcessLookupError):
                self._init_handle = os.pidfd_open(self._init)

    @property
    def init(self) -> int | None:
        """The namespace's init, once `find_init` has found it."""
        return self._init

    @property
    def driver(self) -> int:
        """What runs the steps: the first child of a sandbox's init. 0: it is gone."""
        if self._init is None:
            return self.pid
        return next(iter(children_of(self._init)), 0)

    def terminate(self) -> None:
        """SIGTERM to the job's process group; processes that left it meet `kill`."""
        self.find_init()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._init or self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to everything: the namespace's init, the process itself, and their orphans."""
        self.find_init()
        with contextlib.suppress(ProcessLookupError):
            if self._init_handle is not None:
                signal.pidfd_send_signal(self._init_handle, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        # Orphans become the shim's own children as their parents die, so first it must be dead. An
        # init is waited for until its whole namespace is gone.
        if self._exit_status is None:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        while True:
            children = [pid for pid in children_of(os.getpid()) if pid != self.pid]
            if not children:
                return
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def wait(self) -> int:
        """The exit status; negative for a signal."""
        if self._exit_status is None:
            self._exit_status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit_status


def spawn(launch: dict[str, Any], net: int | None = None) -> Child:
    """Start the process of `launch`, in the network `net` where it is to share one.

    Raises OSError with the reason where it cannot be started.
    """
    output, output_end = os.pipe2(os.O_CLOEXEC)
    answers, answers_end = os.pipe2(os.O_CLOEXEC)
    orders_end, orders = os.pipe2(os.O_CLOEXEC)
    info, info_end = os.pipe2(os.O_CLOEXEC)
    failed, failed_end = os.pipe2(os.O_CLOEXEC)
    # Best effort: an unprivileged user has a budget for large pipes.
    with contextlib.suppress(OSError):
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    arguments = _memory_file(b"".join(word.encode() + b"\0" for word in launch["arguments"]))
    rules = _memory_file(bytes.fromhex(launch.get("filter", "")))
    pid = os.fork()
    if pid == 0:
        ends = {ANSWERS: answers_end, ORDERS: orders_end, INFO: info_end}
        ends |= {ARGUMENTS: arguments, FILTER: rules}
        if launch.get("by_podman"):
            ends[OUTPUT] = output_end
        _become_job(launch, net, output_end, failed_end, ends)
    for descriptor in (output_end, answers_end, orders_end, info_end, failed_end, arguments, rules):
        os.close(descriptor)
    # The pipe closes by itself at exec: reading ends with nothing, or with the reason.
    reason = os.read(failed, 4096)
    os.close(failed)
    if reason:
        os.waitpid(pid, 0)
        raise OSError(reason.decode())
    os.set_blocking(output, False)
    by_podman = launch.get("by_podman", False)
    if by_podman or not launch["namespaced"]:
        os.close(info)
        info = -1
    return Child(pid, output=output, answers=answers, orders=orders, info=info, by_podman=by_podman)


def _become_job(
    launch: dict[str, Any], net: int | None, output: int, failed: int, ends: dict[int, int]
) -> NoReturn:
    try:
        keeper = os.getppid()
        failed = fcntl.fcntl(failed, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
        stage(launch["mounts"])
        _place_descriptors(output, ends)
        os.setsid()
        if net is not None:
            network.enter(net)
        give_up_rights(launch)
        for number in (signal.SIGPIPE, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.umask(UMASK)
        os.chdir(launch["cwd"])
        die_with(keeper)
        os.execve(launch["argv"][0], launch["argv"], launch["env"])  # noqa: S606
    except BaseException as error:  # noqa: BLE001  a forked child must never return
        os.write(failed, str(error).encode()[:4000])
    finally:
        os._exit(127)


def stage(mounts: list[dict[str, Any]]) -> None:
    """Bind each directory under a private tmpfs that every user can enter."""
    if not mounts:
        return
    _call("unshare", CLONE_NEWNS)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    # Opened first: the tmpfs may cover the directories that they lie in.
    opened = [os.open(mount["source"], os.O_PATH | os.O_CLOEXEC) for mount in mounts]
    _mount("tmpfs", STAGE, "tmpfs", 0, "mode=0755,size=1m")
    for mount, descriptor in zip(mounts, opened, strict=True):
        os.makedirs(mount["target"], mode=0o755)
        if mount.get("is_overlaid"):
            _overlay(descriptor, mount["target"])
        else:
            _mount(f"/proc/self/fd/{descriptor}", mount["target"], None, MS_BIND | MS_REC)
        if mount.get("is_read_only"):
            _make_read_only(mount["target"])
        os.close(descriptor)


def _make_read_only(target: str) -> None:
    """The mount and all that are mounted below it; by `remount` it would be the first alone."""
    wish = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    _call("syscall", SYS_MOUNT_SETATTR, -1, target.encode(), AT_RECURSIVE, wish, len(wish))


def _overlay(lower: int, target: str) -> None:
    """The open directory with a layer of memory above it, which takes what is written."""
    layer = f"{target}.layer"
    os.makedirs(layer, mode=0o755)
    flags = MS_NOSUID | MS_NODEV
    _mount("tmpfs", layer, "tmpfs", flags, f"mode=0755,size={OVERLAY_BYTES_MAX}")
    facts = os.fstat(lower)
    for name in ("upper", "work"):
        place = os.path.join(layer, name)
        os.mkdir(place)
        os.chown(place, facts.st_uid, facts.st_gid)
        os.chmod(place, facts.st_mode & 0o777)
    below = os.path.join(layer, "lower")
    os.mkdir(below)
    _mount(f"/proc/self/fd/{lower}", below, None, MS_BIND)
    options = f"lowerdir={below},upperdir={layer}/upper,workdir={layer}/work"
    _mount("overlay", target, "overlay", flags, options)


def _place_descriptors(output: int, ends: dict[int, int]) -> None:
    # First out of the way, then into place: an end may sit on a number that another one needs.
    parked = {
        target: fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for target, end in ends.items()
    }
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for target, descriptor in parked.items():
        os.dup2(descriptor, target)


def give_up_rights(launch: dict[str, Any]) -> None:
    """Become the slot's user, within the job's limits, for good."""
    # Podman does so with what it starts, within the limits that it has itself.
    uid, gid = launch["uid"], launch["gid"]
    if uid is not None and not launch.get("by_podman"):
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    for name, value in launch["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (limit, limit))


def die_with(keeper: int) -> None:
    """The keeper's death is this process's. After the change of user, which clears it."""
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:
        os._exit(1)


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("arguments", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _read_init(info: int) -> int | None:
    """The init of the namespaces; None where bubblewrap ended before it had one."""
    poll = select.poll()
    poll.register(info, select.POLLIN)
    text = b""
    while not text.rstrip().endswith(b"}"):
        if not poll.poll(INFO_WAIT_MS):
            return None
        data = os.read(info, 4096)
        if not data:
            return None
        text += data
    return int(json.loads(text)["child-pid"])


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind, options)]
    _call("mount", texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])


def _call(name: str, *arguments: Any) -> None:  # noqa: ANN401  a C function takes anything
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
