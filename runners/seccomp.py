"""The filter of system calls that a job runs under: a table, and its classic BPF program.

Here: which calls are refused with what, and the assembler; pure. Who loads it: bubblewrap, in the
sandbox, as its last act. The kernel's form: Documentation/userspace-api/seccomp_filter.rst, and
linux/bpf_common.h for the instructions.

What is refused has no use in a job and a history of holes: ways to mount, to make namespaces (the
sandbox forbids them already; two walls are better), to load code into the kernel, to look into
other processes, kernel keyrings (they have no namespace), io_uring and userfaultfd. Sockets are of
the families that programs need; others reach the machine's hypervisor or its wire. Calls of other
architectures are refused whole: their numbers mean something else.
"""

import errno
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# Of each call: its number on x86_64 and on aarch64; None where there is none.
REFUSED: Mapping[str, tuple[int | None, int | None]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "lookup_dcookie": (212, 18),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
# Looked at more closely, or refused in a way that makes a C library take another one.
CLONE, CLONE3, IOCTL = (56, 220), (435, 435), (16, 29)
SOCKET, SOCKETPAIR = (41, 198), (53, 199)

MACHINES = {"x86_64": 0, "aarch64": 1}
AUDIT_ARCH = (0xC000003E, 0xC00000B7)
X32_BIT = 0x40000000

# CLONE_NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWNS.
NAMESPACE_FLAGS = 0x7E020000
# TIOCSTI types into a terminal, TIOCLINUX can paste into a console. The kernel looks at 32 bits.
TERMINAL_TRICKS = (0x5412, 0x541C)
# UNIX, INET, INET6, NETLINK: what programs and their C libraries need.
FAMILIES = (1, 2, 10, 16)

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = (
    ERRNO | errno.EPERM,
    ERRNO | errno.ENOSYS,
    ERRNO | errno.EAFNOSUPPORT,
)

# Offsets into struct seccomp_data; of an argument its lower half, on a little-endian machine.
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


class Instruction(NamedTuple):
    """One of classic BPF: `yes` and `no` are how many further ones are passed over."""

    code: int
    yes: int
    no: int
    value: int


def program(machine: str) -> bytes | None:
    """The filter for a machine (`uname -m`), as bubblewrap's `--seccomp` reads it; None: for none.

    An array of struct sock_filter: 8 bytes each, of the machine's own byte order.
    """
    if machine not in MACHINES:
        return None
    found = instructions(machine)
    return b"".join(struct.pack("=HBBI", *one) for one in found)


def instructions(machine: str) -> list[Instruction]:
    """The filter, an instruction each."""
    return list(_instructions(MACHINES[machine]))


def _instructions(at: int) -> Iterator[Instruction]:
    yield _load(ARCHITECTURE)
    yield from _unless(EQUAL, AUDIT_ARCH[at], ENOSYS)
    yield _load(NUMBER)
    if at == MACHINES["x86_64"]:
        yield from _if(AT_LEAST, X32_BIT, ENOSYS)
    for numbers in REFUSED.values():
        number = numbers[at]
        if number is not None:
            yield from _if(EQUAL, number, EPERM)
    yield from _if(EQUAL, CLONE3[at], ENOSYS)
    yield from _of(CLONE[at], FIRST, [*_if(ANY_BIT, NAMESPACE_FLAGS, EPERM)], ALLOW)
    tricks = [one for trick in TERMINAL_TRICKS for one in _if(EQUAL, trick, EPERM)]
    yield from _of(IOCTL[at], SECOND, tricks, ALLOW)
    families = [one for family in FAMILIES for one in _if(EQUAL, family, ALLOW)]
    for number in (SOCKET[at], SOCKETPAIR[at]):
        yield from _of(number, FIRST, families, EAFNOSUPPORT)
    yield _return(ALLOW)


def _of(number: int, argument: int, rules: list[Instruction], otherwise: int) -> list[Instruction]:
    """What holds for one call by one of its arguments; others go on behind it."""
    body = [_load(argument), *rules, _return(otherwise)]
    return [Instruction(EQUAL, 0, len(body), number), *body]


def _if(test: int, value: int, result: int) -> tuple[Instruction, Instruction]:
    return Instruction(test, 0, 1, value), _return(result)


def _unless(test: int, value: int, result: int) -> tuple[Instruction, Instruction]:
    return Instruction(test, 1, 0, value), _return(result)


def _load(offset: int) -> Instruction:
    return Instruction(LOAD, 0, 0, offset)


def _return(result: int) -> Instruction:
    return Instruction(RETURN, 0, 0, result)
