"""The filter for engines says what the program says, call by call."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.seccomp import FAMILIES, MACHINES, NAMESPACE_FLAGS, REFUSED, TERMINAL_TRICKS
from runners.seccomp_profile import profile

EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
LOOKED_AT = ("clone", "clone3", "ioctl", "socket", "socketpair")
ALLOWED = ("read", "write", "execve", "openat", "futex")
U64 = st.integers(0, 2**64 - 1)
TELLING = [
    *(0, 1, 2, 9, 10, 15, 16, 17, 38, 40, 0x5412, 0x541C, 0x10000000, 0x00020000, 0x11),
    *(0x5412 | 1 << 32, 0x10000011, 40 | 1 << 40, 2 | 1 << 63),
]
CALLS = st.tuples(
    st.sampled_from(list(MACHINES)),
    st.sampled_from([*REFUSED, *LOOKED_AT, *ALLOWED]),
    st.lists(st.one_of(st.sampled_from(TELLING), U64), min_size=6, max_size=6),
)


def ruled(machine: str, name: str, arguments: list[int]) -> int:
    """What a library of rules makes of a call: the first that fits; 0: it is let through."""
    found = json.loads(profile(machine) or b"")
    for rule in found["syscalls"]:
        if name in rule["names"] and all(fits(test, arguments) for test in rule["args"]):
            return rule["errnoRet"]
    assert found["defaultAction"] == "SCMP_ACT_ALLOW"
    return 0


def fits(test: dict, arguments: list[int]) -> bool:
    value = arguments[test["index"]]
    match test["op"]:
        case "SCMP_CMP_EQ":
            return value == test["value"]
        case "SCMP_CMP_GT":
            return value > test["value"]
        case "SCMP_CMP_MASKED_EQ":
            return value & test["value"] == test["valueTwo"]
    raise AssertionError(test)


def expected(machine: str, name: str, arguments: list[int]) -> int:
    """The rules, said once more. The kernel takes the lower half of what it is given."""
    first, second = (one % 2**32 for one in arguments[:2])
    if name in REFUSED:
        return EPERM if REFUSED[name][MACHINES[machine]] is not None else 0
    match name:
        case "clone3":
            return ENOSYS
        case "clone":
            return EPERM if first & NAMESPACE_FLAGS else 0
        case "ioctl":
            return EPERM if second in TERMINAL_TRICKS else 0
        case "socket" | "socketpair":
            # No program sets the upper half: it is refused whatever lies in the lower.
            return 0 if arguments[0] in FAMILIES else EAFNOSUPPORT
    return 0


@given(CALLS)
def test_every_call_is_ruled_as_the_table_says(call):
    assert ruled(*call) == expected(*call)


@pytest.mark.parametrize("machine", list(MACHINES))
def test_no_rule_looks_twice_at_one_argument(machine):
    # The library that engines load rules with refuses such a rule.
    for rule in json.loads(profile(machine) or b"")["syscalls"]:
        looked_at = [test["index"] for test in rule["args"]]
        assert len(looked_at) == len(set(looked_at))


def test_a_machine_of_another_kind_has_none():
    assert profile("riscv64") is None
