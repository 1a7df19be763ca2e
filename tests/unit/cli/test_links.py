"""Links: what is pasted names a run, a job and lines, and nobody to send a key to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.cli.client import ClientError, run_path
from ci_host.cli.links import RunLink, link_of

RUN = "0-0123456789abcdef0123"
PAGE = f"https://ci.example/runs/{RUN}"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (RUN, RunLink(RUN)),
        (PAGE, RunLink(RUN)),
        (f"{PAGE}/", RunLink(RUN)),
        (f"https://ci.example/under/a/path/runs/{RUN}", RunLink(RUN)),
        (f"{PAGE}?job=unit#log", RunLink(RUN, "unit")),
        (f"{PAGE}?job=eu%2Funit&attempt=2#L20-L22", RunLink(RUN, "eu/unit", 2, "", 20, 22)),
        (f"{PAGE}?job=unit#L22-L20", RunLink(RUN, "unit", 0, "", 20, 22)),
        (f"{PAGE}?job=unit&service=db#L7", RunLink(RUN, "unit", 0, "db", 7, 7)),
        (f"{PAGE}#eu/unit/L7-L9", RunLink(RUN, "eu/unit", 0, "", 7, 9)),
        (f"{PAGE}?job=b&attempt=1#a%20b/L7", RunLink(RUN, "b", 1, "", 7, 7)),
        (f"{PAGE}#a%20b/L7", RunLink(RUN, "a b", 0, "", 7, 7)),
        (f"{PAGE}?attempt=two#L", RunLink(RUN)),
        ("https://ci.example/schedules", RunLink("https://ci.example/schedules")),
    ],
)
def test_a_link_names_what_is_meant(text: str, link: RunLink) -> None:
    assert link_of(text) == link


def test_a_command_asks_for_the_run_of_a_link_at_the_host_that_was_chosen() -> None:
    assert run_path(f"{PAGE}?job=unit#L1") == f"/runs/{RUN}"
    with pytest.raises(ClientError, match="there is no run"):
        run_path("https://elsewhere.example/x")


@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://[", "https://x/runs/"]))
def test_nothing_that_is_pasted_breaks_it(text: str, before: str) -> None:
    assert link_of(before + text).first >= 0
