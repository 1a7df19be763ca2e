"""Export: one Run as one self-contained file, and back. Pure: who reads and writes it is elsewhere.

JSON lines: a header, the Bundle, then inputs and Turns in the order of their sequences, and last a
trailer with the sha256 of all lines before it, so that a file that was cut is found out. Sensitive
values are left out; they are computed again on replay.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipelines.bundle import Bundle
from pipelines.codec import CODEC, Undecodable, decode_input, decode_turn, encode_input, encode_turn
from pipelines.events import Input, RunStarted
from pipelines.turn import Pins, Turn

FORMAT = 1
EXPORT_BYTES_MAX = 256 * 1024 * 1024


class BadExport(Exception):
    """The file is no export that can be read here; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ExportedInput:
    """An input with the place and the time (seconds) that it had in its stream."""

    sequence: int
    at: float
    input: Input


@dataclass(frozen=True, slots=True)
class ExportedTurn:
    """A Turn with its place."""

    sequence: int
    turn: Turn


@dataclass(frozen=True, slots=True)
class Export:
    """A Run with all that its replay needs."""

    bundle: Bundle
    inputs: Sequence[ExportedInput] = field(default_factory=list)
    turns: Sequence[ExportedTurn] = field(default_factory=list)

    @property
    def started(self) -> RunStarted:
        """What began the Run."""
        first = self.inputs[0].input
        assert isinstance(first, RunStarted), "a History begins with its beginning"
        return first

    @property
    def pins(self) -> Pins | None:
        """What the Run is bound to; None if its plan was never loaded."""
        return self.turns[0].turn.pins if self.turns else None


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    staunch_export: int
    codec: int
    run: str
    pins: Pins | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    sequence: int
    at: float = 0.0
    input: msgspec.Raw = msgspec.Raw()
    turn: msgspec.Raw = msgspec.Raw()


class _Trailer(msgspec.Struct, frozen=True, kw_only=True):
    lines: int
    sha256: str


def encode_export(export: Export) -> bytes:
    """The file."""
    header = _Header(staunch_export=FORMAT, codec=CODEC, run=export.started.run, pins=export.pins)
    records = [
        _Record(sequence=one.sequence, at=one.at, input=msgspec.Raw(encode_input(one.input)))
        for one in export.inputs
    ]
    records += [
        _Record(sequence=one.sequence, turn=msgspec.Raw(encode_turn(_shown(one.turn))))
        for one in export.turns
    ]
    records.sort(key=lambda record: record.sequence)
    parts = [msgspec.json.encode(header), export.bundle.encode()]
    parts += [msgspec.json.encode(record) for record in records]
    content = b"\n".join(parts) + b"\n"
    trailer = _Trailer(lines=len(parts), sha256=hashlib.sha256(content).hexdigest())
    return content + msgspec.json.encode(trailer) + b"\n"


def _shown(turn: Turn) -> Turn:
    return msgspec.structs.replace(turn, results=[result.shown() for result in turn.results])


def decode_export(content: bytes) -> Export:
    """The inverse of `encode_export`. Raises BadExport."""
    if len(content) > EXPORT_BYTES_MAX:
        raise BadExport(f"the file has {len(content):,} bytes, the limit is {EXPORT_BYTES_MAX:,}")
    lines = content.splitlines(keepends=True)
    _check_header(lines[0] if lines else b"")
    _check_whole(lines)
    try:
        bundle = Bundle.decode(lines[1])
        records = [msgspec.json.decode(line, type=_Record) for line in lines[2:-1]]
        inputs = [
            ExportedInput(one.sequence, one.at, decode_input(bytes(one.input)))
            for one in records
            if bytes(one.input)
        ]
        turns = [
            ExportedTurn(one.sequence, decode_turn(bytes(one.turn)))
            for one in records
            if bytes(one.turn)
        ]
    except (msgspec.MsgspecError, Undecodable, IndexError) as error:
        raise BadExport(f"the file cannot be read: {error}") from error
    export = Export(bundle, inputs, turns)
    _check_sense(export)
    return export


def _check_header(line: bytes) -> None:
    try:
        known: Any = msgspec.json.decode(line)
        form, codec = int(known["staunch_export"]), int(known["codec"])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        raise BadExport("this is no file that `staunch export` wrote") from None
    if form > FORMAT or codec > CODEC:
        raise BadExport(
            f"the file is of a newer Staunch (format {form}, codec {codec}; this one reads up to"
            f" {FORMAT} and {CODEC}); use that one"
        )


def _check_whole(lines: Sequence[bytes]) -> None:
    try:
        trailer = msgspec.json.decode(lines[-1], type=_Trailer)
    except msgspec.MsgspecError:
        raise BadExport("the file was cut: its last line is missing; export it again") from None
    digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    if trailer.lines != len(lines) - 1 or trailer.sha256 != digest:
        raise BadExport("the file was changed or cut: its checksum is another; export it again")


def _check_sense(export: Export) -> None:
    if not export.inputs or not isinstance(export.inputs[0].input, RunStarted):
        raise BadExport("the file holds no beginning of a run")
    if export.bundle.digest() != export.started.bundle:
        raise BadExport("the code in the file is not the code that the run began with")
    there = {one.sequence for one in export.inputs}
    if any(not there.issuperset(one.turn.consumed) for one in export.turns):
        raise BadExport("the file lacks inputs that its turns consumed")
