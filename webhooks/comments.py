"""Comments: what the first line of a comment on a pull request asks of us, if it asks anything.

Pure. All of a comment is a stranger's text: only a first line that is a command to the letter is
one, and who wrote it may do nothing by having written it. That is asked of the forge's API.
"""

import re
import unicodedata
from dataclasses import dataclass

from pipelines.event import Event, EventKind
from webhooks.errors import Malformed
from webhooks.forge import Command, CommandWord, Ignored, ParsedEvent
from webhooks.payload import NUMBER_MAX, moment_of, name_of

LOGIN_CHARS_MAX = 255
GATE_CHARS_MAX = 1_000
NO_COMMAND = Ignored("the comment's first line is no command for Staunch")
NO_PULL_REQUEST = Ignored("commands are taken in comments on pull requests alone")

_CALLED = re.compile(r"/staunch(?:[ \t]|\Z)")
_LINE = re.compile(
    r"/staunch[ \t]+(?:(?P<approve>ok-to-test)[ \t]+(?P<looked_at>[0-9a-f]{40}(?:[0-9a-f]{24})?)"
    r"|(?P<rerun>rerun)(?:[ \t]+(?P<at>[0-9a-f]{40}(?:[0-9a-f]{24})?))?|(?P<cancel>cancel))[ \t]*"
)
_APPROVE = re.compile(r"/staunch[ \t]+approve(?:[ \t]+|\Z)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# What no step's name has: controls, halves of characters, and the ends of lines.
_NAMELESS = ("Cc", "Cs", "Zl", "Zp")
# What every login of every forge is made of; nothing of it means anything in an address.
_LOGIN = re.compile(r"\w[\w.\-]*(?:\[bot\])?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a line asks for."""

    word: CommandWord
    commit: str = ""
    gate: str = ""


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
    person: str = "",
) -> list[ParsedEvent] | Ignored:
    """The event of a new comment, by its author's login. `ref`: of the pull request's head;
    `comment`: its id; `at`: when it was written, as the forge says; `person`: see Command.

    Raises Malformed.
    """
    # Lines end where git and forges end them; not at the marks that only Unicode calls an end.
    line = body[: body.find("\n")] if "\n" in body else body
    line = line.removesuffix("\r")
    if not _CALLED.match(line):
        return NO_COMMAND
    wish = _wish(line)
    if wish is None:
        return Ignored(
            f"{line[:80]!r} is no command; there are `/staunch ok-to-test <full commit id>`,"
            " `/staunch rerun [<full commit id>]`, `/staunch approve [<gate>] [<full commit id>]`"
            " and `/staunch cancel`"
        )
    if not 1 <= number <= NUMBER_MAX:
        raise Malformed(f"the comment is on pull request {number}, which none has")
    if not login or not is_login(login):
        return Ignored(f"the comment's author is called {(login or '')[:80]!r}, which is no login")
    command = Command(
        word=wish.word,
        number=number,
        login=login,
        commit=wish.commit,
        comment="" if comment is None else str(comment),
        at=moment_of(at),
        gate=wish.gate,
        person=person,
    )
    event = Event(kind=EventKind.MANUAL, ref=ref, sender=login)
    return [ParsedEvent(external_id, name_of(name), event, command=command)]


def _wish(line: str) -> _Wish | None:
    """What the line asks for; None: nothing that there is."""
    if (opening := _APPROVE.match(line)) is not None:
        return _approval(line[opening.end() :].strip(" \t"))
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    word = CommandWord(found["approve"] or found["rerun"] or found["cancel"])
    return _Wish(word, found["looked_at"] or found["at"] or "")


def _approval(rest: str) -> _Wish | None:
    """Of a gate: all of the rest is its name, as it is written, but for a commit at the end."""
    blank = max(rest.rfind(" "), rest.rfind("\t"))
    last = rest[blank + 1 :]
    commit = last if _COMMIT.fullmatch(last) else ""
    gate = rest[: max(blank, 0)].strip(" \t") if commit else rest
    if len(gate) > GATE_CHARS_MAX or any(unicodedata.category(c) in _NAMELESS for c in gate):
        return None
    return _Wish(CommandWord.APPROVE, commit, gate)
