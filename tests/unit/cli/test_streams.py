"""Server-sent events through whatever ends a connection, each once."""

from itertools import islice

import pytest
from rich.console import Console

from ci_host.cli import streams
from ci_host.cli.client import Client, ClientError
from ci_host.cli.following import Follower
from ci_host.cli.streams import followed
from tests.scripted import Reply, Scripted, page, stream


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PAUSE_S_FIRST", 0.001)


def event(place: int, *lines: str) -> str:
    return f"id: {place}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


@pytest.mark.parametrize(
    "trouble",
    [
        stream(),
        stream(": here\n\n", "id: 9\ndata: half", is_cut=True),
        page(502),
        page(503),
        page(504),
        Reply(503, '{"detail": "Ask again."}', "application/problem+json"),
    ],
)
def test_they_go_on_behind_the_last_one(trouble: Reply) -> None:
    before, after = stream(event(3, "one"), event(7, "two"), is_cut=True), stream(event(9, "three"))
    with Scripted(before, trouble, trouble, after, page(404)) as host:
        told = list(islice(followed(Client(host.url, "t"), "/events/stream", "0"), 3))
        assert [one.data for one in told] == ["one", "two", "three"]
        assert host.places == ["0", "7", "7", "7"]


def test_a_host_that_is_away_is_told_once_and_waited_for(capsys: pytest.CaptureFixture) -> None:
    away = [page(502)] * 3
    with Scripted(*away, stream(event(1, "one")), *away, stream(event(2, "two"))) as host:
        list(islice(followed(Client(host.url, "t"), "/events/stream", "0"), 2))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("answered 502" in line and line.endswith("Waiting for it") for line in said)


@pytest.mark.parametrize(
    ("refusal", "exit_code"),
    [
        (Reply(401, '{"detail": "Unknown."}', "application/problem+json"), 1),
        (Reply(403, '{"detail": "You may not."}', "application/problem+json"), 1),
        (Reply(404, '{"detail": "No such."}', "application/problem+json"), 4),
        (page(200), 3),
        (Reply(body="{}"), 3),
    ],
)
def test_a_refusal_ends_them_in_the_words_of_the_host(refusal: Reply, exit_code: int) -> None:
    with Scripted(stream(event(1, "one")), refusal) as host:
        told = followed(Client(host.url, "t"), "/events/stream", "0")
        assert next(told).data == "one"
        with pytest.raises(ClientError) as caught:
            next(told)
        assert caught.value.exit_code == exit_code
        assert len(host.asked) == 2


def test_what_only_looks_like_the_end_of_a_line_is_text() -> None:
    text = "form\x0cfeed, separator\x1c, next\x85line, \u2028 and \u2029"
    with Scripted(stream(event(1, text, "", "end"))) as host:
        told = next(followed(Client(host.url, "t"), "/jobs/1/log/stream", "0"))
    assert told.data == f"{text}\n\nend"


def test_a_chunk_may_be_of_any_length() -> None:
    with Scripted(stream(event(1, "x" * 3_000_000))) as host:
        told = next(followed(Client(host.url, "t"), "/jobs/1/log/stream", "0"))
    assert len(told.data) == 3_000_000


@pytest.mark.parametrize("answer", [page(200), Reply(302, headers={"location": "/login"})])
def test_neither_is_a_run_followed_where_another_program_answers(answer: Reply) -> None:
    with Scripted(page(502), page(504), answer) as host:
        client = Client(host.url, "t")
        follower = Follower(client, Console(), "", lambda *_: None, lambda: None)
        with pytest.raises(ClientError) as caught:
            follower.to_end("1-0")
        assert (caught.value.exit_code, len(host.asked)) == (3, 3)
