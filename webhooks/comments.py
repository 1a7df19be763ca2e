"""Comments: what the first line of a comment on a pull request asks of us, if it asks anything.

Pure. All of a comment is a stranger's text: only a first line that is a command to the letter is
one, and who wrote it may do nothing by having written it. That is asked of the forge's API.
"""

import re

from pipelines.event import Event, EventKind
from webhooks.errors import Malformed
from webhooks.forge import Command, CommandWord, Ignored, ParsedEvent
from webhooks.payload import NUMBER_MAX, moment_of, name_of

LOGIN_CHARS_MAX = 255
NO_COMMAND = Ignored("the comment's first line is no command for Staunch")
NO_PULL_REQUEST = Ignored("commands are taken in comments on pull requests alone")

_CALLED = re.compile(r"/staunch(?:[ \t]|\Z)")
_LINE = re.compile(
    r"/staunch[ \t]+(?:(?P<approve>ok-to-test)[ \t]+(?P<looked_at>[0-9a-f]{40}(?:[0-9a-f]{24})?)"
    r"|(?P<rerun>rerun)(?:[ \t]+(?P<at>[0-9a-f]{40}(?:[0-9a-f]{24})?))?|(?P<cancel>cancel))[ \t]*"
)
# What every login of every forge is made of; nothing of it means anything in an address.
_LOGIN = re.compile(r"\w[\w.\-]*(?:\[bot\])?\Z", re.ASCII)


def is_login(name: str | None) -> bool:
    """Whether an account of any forge can be called so, and it can be put into an address."""
    return name is not None and len(name) <= LOGIN_CHARS_MAX and _LOGIN.match(name) is not None


def commanded(
    external_id: str,
    name: str | None,
    *,
    number: int,
    ref: str,
    login: str | None,
    body: str,
    comment: int | None = None,
    at: str | float | None = None,
) -> list[ParsedEvent] | Ignored:
    """The event of a new comment, by its author's login. `ref`: of the pull request's head;
    `comment`: its id; `at`: when it was written, as the forge says.

    Raises Malformed.
    """
    # Lines end where git and forges end them; not at the marks that only Unicode calls an end.
    line = body[: body.find("\n")] if "\n" in body else body
    line = line.removesuffix("\r")
    if not _CALLED.match(line):
        return NO_COMMAND
    found = _LINE.fullmatch(line)
    if found is None:
        return Ignored(
            f"{line[:80]!r} is no command; there are `/staunch ok-to-test <full commit id>`,"
            " `/staunch rerun [<full commit id>]` and `/staunch cancel`"
        )
    if not 1 <= number <= NUMBER_MAX:
        raise Malformed(f"the comment is on pull request {number}, which none has")
    if not login or not is_login(login):
        return Ignored(f"the comment's author is called {(login or '')[:80]!r}, which is no login")
    word = CommandWord(found["approve"] or found["rerun"] or found["cancel"])
    commit = found["looked_at"] or found["at"] or ""
    command = Command(
        word=word,
        number=number,
        login=login,
        commit=commit,
        comment="" if comment is None else str(comment),
        at=moment_of(at),
    )
    event = Event(kind=EventKind.MANUAL, ref=ref, sender=login)
    return [ParsedEvent(external_id, name_of(name), event, command=command)]
