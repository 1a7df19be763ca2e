"""Ids: how a Run, a Step and a Job are named. Derived, never random.

A Run's id is a digest of what caused it, so the same push delivered five times asks for the same
Run. The shard is a part of the id: it may never depend on how many shards there are today.
"""

import hashlib
import re
from typing import NewType

RunId = NewType("RunId", str)
StepKey = NewType("StepKey", str)
JobId = NewType("JobId", str)
Digest = NewType("Digest", str)

SHARDS_DEFAULT = 4
RUN_ID = re.compile(r"[0-9]{1,4}-[0-9a-f]{20}")
TOKEN_CHARS = 16


def digest_of(content: bytes) -> Digest:
    """The content's sha256 in hex: safe as a file name and as a subject token."""
    return Digest(hashlib.sha256(content).hexdigest())


def run_id(*cause: str, shards: int = SHARDS_DEFAULT) -> RunId:
    """The id of the Run that `cause` (repo, event, ref, commit, pipeline …) asks for.

    The form is `<shard>-<20 hex digits>`; the parts are separated by a byte that none can hold.
    """
    assert shards > 0
    digest = hashlib.sha256("\x00".join(cause).encode()).hexdigest()
    return RunId(f"{int(digest[-8:], 16) % shards}-{digest[:20]}")


def child_id(parent: RunId, key: StepKey, shards: int) -> RunId:
    """The Run that a `call` Step of `parent` asks for. `shards` is what the parent was begun with.

    The host alone says whose child is whose: a plan that could would reach other people's Runs.
    """
    child = run_id(parent, "call", key, shards=max(1, shards))
    # An old parent does not know how many shards there were: its own is there for sure.
    return child if shards else RunId(f"{shard_of(parent)}-{child.partition('-')[2]}")


def successor_id(run: RunId) -> RunId:
    """The Run that goes on where `run` ended with `step.continue_as_new`.

    It is kept in the same shard: what is told of the two is told in their order.
    """
    successor = run_id(run, "continue", shards=1)
    return RunId(f"{shard_of(run)}-{successor.partition('-')[2]}")


def is_run_id(text: str) -> bool:
    """Whether the text has the form of a whole Run id, such as `run_id` makes."""
    return RUN_ID.fullmatch(text) is not None


def shard_of(run: RunId) -> int:
    """The shard that keeps the Run's History.

    Raises ValueError where the text is no Run id.
    """
    shard, dash, rest = run.partition("-")
    if not dash or not shard.isdecimal() or not rest.isalnum():
        raise ValueError(f"{run!r} is no run id; one looks like 2-0f3a9c…, see `staunch runs`")
    return int(shard)


def step_token(key: StepKey) -> str:
    """A Step's key as a subject token and file name: keys hold spaces, slashes and dots."""
    return hashlib.sha256(key.encode()).hexdigest()[:TOKEN_CHARS]


def job_id(run: RunId, key: StepKey, attempt: int) -> JobId:
    """The id of one Attempt of a Job: `<run>.<step token>.<attempt>`, three subject tokens."""
    assert attempt >= 1, "attempts count from one"
    return JobId(f"{run}.{step_token(key)}.{attempt}")
