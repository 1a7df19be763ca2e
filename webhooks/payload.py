"""Payload: what all parsers share. Decoding into a typed shape, and checks of what comes out.

Anything that is not as documented becomes Malformed here; a parser raises nothing else.
"""

from datetime import datetime
from typing import TypeVar

import msgspec

from pipelines.event import is_zero
from pipelines.refs import is_commit, is_ref, is_short_commit
from webhooks.errors import Malformed

T = TypeVar("T")

# An Event is a part of every History: what people may write at any length is cut.
MESSAGE_CHARS_MAX = 4_000
NAME_CHARS_MAX = 300
LABELS_MAX = 100
CHANGES_MAX = 1_000
# What JSON can say for sure, and what a database keeps.
NUMBER_MAX = 2**53


def decode(body: str | bytes, shape: type[T], what: str) -> T:
    """The payload as `shape`. Raises Malformed."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Malformed(f"this is no {what} payload: {error}") from error


def commit_of(text: str, field: str) -> str:
    """The full commit id, or empty for git's zeros. Raises Malformed."""
    if is_zero(text):
        return ""
    if not is_commit(text):
        raise Malformed(f"{field} is {text[:80]!r}, which is no full commit id")
    return text


def short_commit_of(text: str, field: str) -> str:
    """A commit's or tag's id, or the beginning of it, for a Sought. Raises Malformed."""
    if not is_short_commit(text):
        raise Malformed(f"{field} is {text[:80]!r}, which is no commit id of 12 digits or more")
    return text


def number_of(value: int, field: str) -> int:
    """A pull request's number. Raises Malformed."""
    if not 1 <= value <= NUMBER_MAX:
        raise Malformed(f"{field} is {str(value)[:80]}; numbers start at 1, and end at 2**53")
    return value


def ref_of(text: str, field: str = "ref") -> str:
    """The full ref. Raises Malformed."""
    if not is_ref(text):
        raise Malformed(f"{field} is {text[:80]!r}, which is no ref that git would accept")
    return text


def moment_of(told: str | float | None) -> float:
    """When something was, in seconds since the epoch; 0: not told, or in no form that is known.

    Texts are dates with a zone, as forges write them; numbers are Bitbucket Data Center's
    milliseconds.
    """
    try:
        if not isinstance(told, str):
            return max(0.0, float(told or 0) / 1000)
        # Older GitLabs write `2026-11-26 12:00:00 UTC`.
        at = datetime.fromisoformat(told.replace(" UTC", "+00:00"))
        return 0.0 if at.tzinfo is None else max(0.0, at.timestamp())
    except (ValueError, OverflowError):
        return 0.0


def name_of(text: str | None) -> str:
    """A name, cut to what fits."""
    return (text or "")[:NAME_CHARS_MAX]


def message_of(text: str | None) -> str:
    """A commit message or title, cut to what fits."""
    return (text or "")[:MESSAGE_CHARS_MAX]


def external_id_of(value: int | str) -> str:
    """A repository's id on its forge. Raises Malformed where it is empty."""
    text = str(value)
    if not text or len(text) > NAME_CHARS_MAX or not text.isprintable():
        raise Malformed(f"repository.id is {text[:80]!r}; it must be a number or a short text")
    return text
