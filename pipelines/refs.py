"""Refs and commits: which texts are the name of a ref and which are a commit id, full or cut.

Names come from outside and end up in git's arguments; what is refused here never gets that far.
"""

import re

# What git's own check-ref-format refuses, for a full ref. Shell characters are legal in a branch.
_REF = re.compile(
    r"refs/(?!.*(?:\.\.|@\{|//|/\.|\.lock(?:/|\Z)))[^\x00-\x20\x7f~^:?*\[\\]+(?<![/.])\Z"
)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SHORT = re.compile(r"(?!0+\Z)[0-9a-f]+\Z")

# What forges send; with fewer digits two commits of one repository may well begin the same.
SHORT_DIGITS_MIN = 12

REF_CHARS_MAX = 1_000


def is_commit(text: str) -> bool:
    """Whether the text is a full commit id: 40 hex digits, or 64 in a sha256 repository."""
    return _COMMIT.match(text) is not None


def is_short_commit(text: str) -> bool:
    """Whether the text can name a commit or a tag by its first 12 digits or more, or by all."""
    return SHORT_DIGITS_MIN <= len(text) <= 64 and _SHORT.match(text) is not None


def is_ref(text: str) -> bool:
    """Whether the text is a full ref name that git would accept (`refs/heads/main`)."""
    return len(text) <= REF_CHARS_MAX and _REF.match(text) is not None
