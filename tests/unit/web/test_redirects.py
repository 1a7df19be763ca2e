import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.web.redirects import HOME, safe_next


@pytest.mark.parametrize(
    "path", ["/", "/runs/1-abc", "/runs/1-abc?job=a%2Fb&attempt=2", "/?repo=x"]
)
def test_a_path_of_ours_is_gone_on_to(path):
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "https://evil.test/", "//evil.test", "///evil.test", "/\\evil.test", "\\/evil.test",
        "/\t/evil.test", "/\n/evil.test", "javascript:alert(1)", "runs", "/login?next=/", "/logout",
        " /runs", "/runs\x7f", "/ /evil.test",
    ],
)  # fmt: skip
def test_whatever_could_lead_elsewhere_leads_home(path):
    assert safe_next(path) == HOME


@given(st.text())
def test_no_answer_ever_names_a_host(text):
    answer = safe_next(text)
    assert answer.startswith("/") and not answer.startswith(("//", "/\\"))
