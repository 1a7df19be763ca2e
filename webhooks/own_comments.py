"""Own comments: what both Bitbuckets need beside their calls, so that there is one comment, ours.

Neither tells a token of a repository whose account it is, and both let nobody but its author change
the text of a comment ("Update a comment"; "Only the user who created a comment may update it"). So
whether a comment is ours is asked by writing into it what it says already. Neither reads HTML: what
is to be hidden there is a definition of a link that nothing leads to.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from pipelines.status import cut
from webhooks.forge import Comment, Later, Refused

# Data Center takes 32,768 characters. A byte is never more than one.
TEXT_BYTES_MAX = 32_000
MORE = "… and more, on the pages of the runs."

_MARK = re.compile(r"\A<!-- (staunch [\w ]+) -->\n*", re.ASCII)
_HIDDEN = re.compile(r"\A\s*\[//\]: # \((staunch [\w ]+)\)\s*", re.ASCII)
_SUMMARY = re.compile(r"^<details><summary>(.*)</summary>$", re.MULTILINE)
_END = re.compile(r"^</details>\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Found:
    """A comment as the forge lists it. `version`: what a change of it must name, where it must."""

    id: str
    author: str
    raw: str
    version: int = 0


def as_written(text: str) -> str:
    """A comment of ours in what Bitbucket shows of Markdown."""
    plain = _END.sub("", _SUMMARY.sub(r"\1:", text))
    return cut(_MARK.sub(r"[//]: # (\1)\n\n", plain), TEXT_BYTES_MAX, MORE)


def as_meant(raw: str) -> str:
    """What `as_written` made it from, as far as the mark at its beginning goes."""
    return _HIDDEN.sub(r"<!-- \1 -->\n", raw)


async def ours_of(
    found: Iterable[Found], rewritten: Callable[[Found], Awaitable[bool | Later | Refused]]
) -> list[Comment] | Later:
    """Those with a mark that our own account wrote, in their order; anybody can write a mark.

    `rewritten`: writes a comment's own text into it once more. Asked of one comment of each author.
    """
    ours: dict[str, bool] = {}
    mine = []
    for one in found:
        if not _HIDDEN.match(one.raw):
            continue
        if one.author not in ours:
            told = await rewritten(one)
            if isinstance(told, Later):
                return told
            ours[one.author] = told is True
        if ours[one.author]:
            mine.append(Comment(one.id, as_meant(one.raw)))
    return mine
