"""The filter of system calls in the form that container engines read: JSON, by names of calls.

Here: the translation, pure. What is refused, and why, `seccomp` says. The form: the profile of
containers/common, https://github.com/containers/common/blob/main/pkg/seccomp/types.go.

An engine compares whole registers where the kernel looks at 32 bits, so what is refused by value
is compared under a mask; a family of sockets beyond the last known one is refused whatever its
upper bits are.
"""

import errno
import json
from typing import Any

from runners.seccomp import FAMILIES, MACHINES, NAMESPACE_FLAGS, REFUSED, TERMINAL_TRICKS

ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
LOWER_HALF = 0xFFFFFFFF


def profile(machine: str) -> bytes | None:
    """The profile for a machine (`uname -m`); None: for none."""
    if machine not in MACHINES:
        return None
    names = [name for name, numbers in REFUSED.items() if numbers[MACHINES[machine]] is not None]
    flags = [1 << bit for bit in range(32) if NAMESPACE_FLAGS >> bit & 1]
    rules = [
        _refused(names, errno.EPERM),
        # A C library that finds no clone3 takes clone, whose flags can be seen.
        _refused(["clone3"], errno.ENOSYS),
        *(_refused(["clone"], errno.EPERM, _masked(0, flag, flag)) for flag in flags),
        *(_refused(["ioctl"], errno.EPERM, _masked(1, LOWER_HALF, o)) for o in TERMINAL_TRICKS),
        *_families(),
    ]
    whole = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [ARCHITECTURES[machine]],
        "syscalls": rules,
    }
    return json.dumps(whole).encode()


def _families() -> list[dict[str, Any]]:
    """A rule can look at an argument once only: so one for each gap between the known families."""
    calls, last = ["socket", "socketpair"], max(FAMILIES)
    gaps = [family for family in range(last) if family not in FAMILIES]
    tests = [{"index": 0, "value": gap, "op": "SCMP_CMP_EQ"} for gap in gaps]
    tests.append({"index": 0, "value": last, "op": "SCMP_CMP_GT"})
    return [_refused(calls, errno.EAFNOSUPPORT, test) for test in tests]


def _masked(index: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def _refused(names: list[str], code: int, test: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "names": names,
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": code,
        "args": [] if test is None else [test],
    }
