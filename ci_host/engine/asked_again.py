"""Asked again: what names itself by a key is done once, and nothing else has its answer.

Compared is what is kept anyway: how a Run began, a Signal in its History. Not who asks: the same
may be sent again by somebody else. What has no key was never asked before.
"""

from collections.abc import Mapping

import msgspec

from pipelines.events import RunStarted

API = "api "


class KeyTaken(Exception):
    """Something else was asked for with this key; `others`: what of it differs."""

    title = "A key of another request"

    def __init__(self, key: str, others: list[str]) -> None:
        super().__init__(
            f"The key {key!r} was used before, for another request: its {' and '.join(others)}"
            " differed. Nothing was done: send this one with a key of its own."
        )


def by_key(key: str) -> str:
    """A wish that its sender names, told apart from the names that forges give theirs."""
    return key and API + key


def key_of(asked: str) -> str:
    """The inverse; empty where somebody else named it."""
    return asked.removeprefix(API) if asked.startswith(API) else ""


def check_same(key: str, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raises KeyTaken where they are not the same JSON."""
    others = [name for name in now if _words(before[name]) != _words(now[name])]
    if others:
        raise KeyTaken(key, others)


def check_begun(key: str, before: RunStarted, now: RunStarted) -> None:
    """Raises KeyTaken where they are not the same to whoever asked."""
    check_same(key, _asked(before), _asked(now))


def _asked(first: RunStarted) -> dict[str, object]:
    """The ref is left out: where kept code is started again it is that of the Run before."""
    return {
        "run": None if first.rerun is None else first.rerun.of,
        "commit": first.event.commit,
        "inputs": first.inputs,
        "priority": first.level,
        "wait_s": None if first.wait is msgspec.UNSET else first.wait.seconds,
        "supposed": None if first.supposed is msgspec.UNSET else first.supposed,
        "from_step": None if first.fork is None else first.fork.from_step,
        "choice of what is taken over": first.recalled,
    }


def _words(value: object) -> bytes:
    # As it was kept, and 1 is not true.
    kept = msgspec.json.decode(msgspec.json.encode(value))
    return msgspec.json.encode(kept, order="deterministic")
