"""Bundle: the pipeline code of a repository at a commit, addressed by its content.

Only `.staunch/` or `.staunch.py` is in it. What a file may be is decided here; reading it from
git is the host's, compiling it is the guest's (`Prepared`).
"""

from typing import Any, Literal

import msgspec

from pipelines.commands import InputRule
from pipelines.failure import Failure
from pipelines.ids import Digest, digest_of
from pipelines.priority import Priority

FILE_BYTES_MAX = 1_048_576
FILES_MAX = 200
BUNDLE_BYTES_MAX = 4_194_304
FOLDER = ".staunch"
SINGLE = ".staunch.py"
TEXT_SUFFIXES = frozenset(
    {".py", ".yaml", ".yml", ".toml", ".json", ".txt", ".md", ".cfg", ".ini", ".sh", ".sql"}
)


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """`files` maps a path relative to the repository (`.staunch/pipeline.py`) to its text."""

    files: dict[str, str]

    def encode(self) -> bytes:
        """The one byte form; equal content gives equal bytes."""
        return msgspec.json.encode(self, order="deterministic")

    def digest(self) -> Digest:
        """The name under which it is stored."""
        return digest_of(self.encode())

    @staticmethod
    def decode(content: bytes) -> "Bundle":
        """The inverse of `encode`. Raises msgspec.DecodeError."""
        return msgspec.json.decode(content, type=Bundle)


class InputTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline asks of whoever starts or calls it, as a Gate asks of those who answer."""

    inputs: dict[str, Literal["str", "int", "float", "bool"]] = {}
    rules: dict[str, InputRule] = {}


class PipelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline that a Bundle offers, or the reason why its file offers none.

    `triggers` is what `on.…` declared (see docs/abi.md); None: every event of the default kinds.
    `asks` None: it said nothing of inputs, and whoever starts it cannot give any. `priority` is
    what its Runs begin with where nobody says another.
    """

    name: str
    file: str
    triggers: list[dict[str, Any]] | None = None
    error: Failure | None = None
    asks: InputTerms | None = None
    priority: Priority = Priority.NORMAL


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A Bundle compiled once by a guest image: what every Run of it loads.

    `code` is opaque to the host and only ever unmarshalled inside the guest. Its key is
    (bundle digest, image digest): content, never a name.
    """

    bundle: str
    image: str
    code: str
    pipelines: list[PipelineEntry]

    def digest(self) -> Digest:
        """The digest of the prepared code."""
        return digest_of(self.code.encode("latin-1"))
