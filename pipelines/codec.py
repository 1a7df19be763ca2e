"""Codec: bytes to inputs and Turns and back; the version that a Run is pinned to.

A change of form that an old History could not be read with needs a new CODEC, kept beside the old.
"""

from typing import TypeVar

import msgspec

from pipelines.events import Input
from pipelines.turn import Turn, TurnOutcome

CODEC = 1

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_input: msgspec.json.Decoder[Input] = msgspec.json.Decoder(Input)
_turn = msgspec.json.Decoder(Turn)


class _Outcomes(msgspec.Struct, frozen=True):
    turns: list[TurnOutcome]


_outcomes = msgspec.json.Decoder(_Outcomes)


class Undecodable(Exception):
    """A message that is not of the form it must have: forged, cut, or from another version."""


def encode_input(value: Input) -> bytes:
    """One input as it goes on `run.<k>.<id>.in`."""
    return _encoder.encode(value)


def decode_input(content: bytes) -> Input:
    """The inverse of `encode_input`. Raises Undecodable."""
    value: Input = _decode(_input, content, "an input")
    return value


def encode_turn(turn: Turn) -> bytes:
    """One Turn as it goes on `run.<k>.<id>.turn`."""
    return _encoder.encode(turn)


def decode_turn(content: bytes) -> Turn:
    """The inverse of `encode_turn`. Raises Undecodable."""
    return _decode(_turn, content, "a turn")


def decode_outcomes(text: str) -> list[TurnOutcome]:
    """What the guest's `advance` answered. Raises Undecodable."""
    return _decode(_outcomes, text.encode(), "the guest's answer").turns


def _decode(decoder: "msgspec.json.Decoder[T]", content: bytes, what: str) -> T:
    try:
        return decoder.decode(content)
    except msgspec.MsgspecError as error:
        raise Undecodable(f"{what} of {len(content)} bytes cannot be read: {error}") from error
