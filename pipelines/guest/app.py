"""The component: what componentize-py freezes into the guest image. Runs at build time, once.

Order matters: everything that is imported or called here is part of every instance's memory, and
`fill_holes` must come last.
"""

import builtins
import os
import socket
import sys
import time
from collections.abc import Callable

from pipelines.guest.image_heap import fill_holes, import_stdlib

IMPORTED = import_stdlib()

import staunch  # noqa: E402, F401 - frozen in for the pipelines that import it
import wit_world  # noqa: E402
from componentize_py_types import Err as ComponentErr  # noqa: E402

from pipelines.guest.dice import Dice  # noqa: E402
from pipelines.guest.exports import Err, Exports  # noqa: E402
from pipelines.guest.failures import failure_of  # noqa: E402
from pipelines.guest.printing import Printed  # noqa: E402
from pipelines.guest.records import Records, forget_patterns  # noqa: E402
from pipelines.guest.refusals import refuse_input, refuse_network, refuse_sleep  # noqa: E402
from pipelines.guest.warm_up import warm_up  # noqa: E402
from pipelines.guest.wire import canonical  # noqa: E402

DICE = Dice()
RECORDS = Records()


real_write = os.write


def write(fd: int, data: bytes) -> int:
    """os.write: the standard streams are the plan's printed text."""
    if fd not in (1, 2):
        return real_write(fd, data)
    sys.stdout.write(bytes(data).decode("utf-8", "replace"))
    return len(data)


def fresh(
    on_clock: Callable[[float], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Exports:
    """Exports that have seen nothing."""
    printed = Printed()
    sys.stdout = sys.stderr = printed
    return Exports(printed=printed, dice=DICE, recorder=RECORDS, on_clock=on_clock, tell=tell)


DICE.install()
RECORDS.install()
time.sleep = refuse_sleep
os.write = write
socket.socket.__init__ = refuse_network
socket.getaddrinfo = socket.create_connection = refuse_network
builtins.input = refuse_input
warm_up(fresh)
DICE.__init__()
EXPORTS = fresh(wit_world.set_now, wit_world.tell)
sys.__stdout__ = sys.__stderr__ = sys.stdout


def call(export: str, argument: str) -> str:
    """Any export. Whatever goes wrong leaves as a Failure."""
    try:
        return getattr(EXPORTS, export)(argument)
    except Err as error:
        raise ComponentErr(error.text) from None
    except BaseException as error:  # noqa: BLE001 - the edge of the sandbox
        files = EXPORTS.modules.files if EXPORTS.modules else set()
        failure = failure_of(error, files)
        if failure["file"] is None and not isinstance(error, MemoryError | RecursionError):
            # No line of the tenant's was on the way.
            failure["kind"] = "ours"
        raise ComponentErr(canonical(failure)) from None


class WitWorld(wit_world.WitWorld):
    """What the host calls."""

    def ready(self, argument: str) -> str:
        return call("ready", argument)

    def prepare(self, argument: str) -> str:
        return call("prepare", argument)

    def load(self, argument: str) -> str:
        return call("load", argument)

    def start(self, argument: str) -> str:
        return call("start", argument)

    def advance(self, argument: str) -> str:
        return call("advance", argument)


forget_patterns()
KEPT = fill_holes()
