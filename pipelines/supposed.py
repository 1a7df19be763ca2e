"""Supposed: which Steps of a Run are done, where somebody wants only some of them. Wire form.

Nobody but the one person of an installation may say so (decision 61): what is not done is taken to
have succeeded. What it hands over is in `staunch.supposed`.
"""

from typing import Any

import msgspec

NAMES_MAX = 100


class Supposed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`only`: names of the Steps that are done, or globs. `values`: by the name of another Step,
    outputs of a Job, inputs of a Gate, words of a Signal."""

    only: list[str]
    values: dict[str, dict[str, Any]] = {}
