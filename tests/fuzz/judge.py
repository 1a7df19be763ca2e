"""Judge: what may become of a body, whoever sent it: events that can be kept, or our own errors."""

import msgspec

from pipelines.event import Event
from pipelines.refs import is_commit, is_ref, is_short_commit
from pipelines.repo import ForgeKind
from webhooks.errors import Malformed
from webhooks.forge import Ignored, ParsedEvent
from webhooks.payload import CHANGES_MAX, MESSAGE_CHARS_MAX, NUMBER_MAX
from webhooks.registry import FORGES

ERROR_CHARS_MAX = 1_000
EVENT_BYTES_MAX = 300_000


def judged(kind: ForgeKind, event: str, body: str | bytes) -> str:
    """What became of it, in a word; AssertionError, or any other error, if that may not be."""
    try:
        parsed = FORGES[kind].parse(event, body)
    except Malformed as error:
        assert len(str(error)) < ERROR_CHARS_MAX
        # It is written into logs and answers.
        str(error).encode("utf-8", "backslashreplace")
        return "malformed"
    if isinstance(parsed, Ignored):
        assert 0 < len(parsed.reason) < ERROR_CHARS_MAX
        parsed.reason.encode()
        return "ignored"
    assert len(parsed) <= CHANGES_MAX
    for one in parsed:
        _judge(one)
    return "parsed"


def _judge(one: ParsedEvent) -> None:
    """What came through can be stored, read back as it was, and given to git."""
    event = one.event
    stored = msgspec.json.encode(event)
    assert msgspec.json.decode(stored, type=Event) == event
    assert len(stored) < EVENT_BYTES_MAX
    assert event.commit == "" or is_commit(event.commit)
    assert event.before == "" or is_commit(event.before)
    assert event.ref == "" or is_ref(event.ref)
    assert len(event.message) <= MESSAGE_CHARS_MAX
    assert one.external_id and one.external_id.isprintable()
    one.name.encode()
    if event.pull_request is not None:
        assert 0 < event.pull_request.number <= NUMBER_MAX
    if one.sought is not None:
        assert event.commit == ""
        assert one.sought.name == "" or is_short_commit(one.sought.name)
        assert is_ref(one.sought.ref)
    if one.again is not None:
        assert len(one.again.run + one.again.suite) < ERROR_CHARS_MAX
        (one.again.run + one.again.suite).encode()
    if one.command is not None:
        assert 0 < one.command.number <= NUMBER_MAX
        assert one.command.commit == "" or is_commit(one.command.commit)
        one.command.login.encode()
