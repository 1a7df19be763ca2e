"""Guided: one forge's parsers under atheris, which looks for bytes that reach more of their code.

Started by `python -m tests.fuzz`, which sees to it that atheris is there. It ends with an error,
and the bytes that made it, where anything but our own errors comes out.
"""

import sys
from importlib import import_module
from typing import Any

from pipelines.repo import ForgeKind


def main(arguments: list[str]) -> None:
    """`arguments`: a kind of forge, then libFuzzer's own."""
    kind, *options = arguments
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["webhooks", "pipelines"]):
        judge = import_module("tests.fuzz.judge")
        mutations = import_module("tests.fuzz.mutations")
        payloads = import_module("tests.payloads")
    forge = ForgeKind(kind)
    names = sorted(name for name in payloads.PAYLOADS if payloads.kind_of(name) is forge)

    def once(content: bytes) -> None:
        given = atheris.FuzzedDataProvider(content)

        def below(n: int) -> int:
            return int(given.ConsumeIntInRange(0, n - 1))

        name = names[below(len(names))]
        body = mutations.written(mutations.mutated(payloads.PAYLOADS[name], below), below)
        judge.judged(forge, payloads.event_of(name), body)

    atheris.Setup([sys.argv[0], *options], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
