"""By which way a host is asked, and what is said where no Staunch answers."""

import pytest

from ci_host.cli.client import Client, ClientError
from ci_host.cli.wire import NoProxy, opened
from tests.scripted import Reply, Scripted, page

# Nobody listens there.
NOBODY = "http://127.0.0.1:9"
SOCKS = "socks5://ada:hunter2@127.0.0.1:9"
PROXIES = [f"{name}_proxy" for name in ("http", "https", "all", "no")]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def refused(client: Client) -> ClientError:
    with pytest.raises(ClientError) as caught:
        client.get("/runs", limit=20)
    return caught.value


@pytest.mark.parametrize("proxy", [NOBODY, SOCKS, "socks4://127.0.0.1:9", "http://[bad"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_host_of_this_machine_is_asked_by_no_proxy(
    name: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, proxy)
    with Scripted(Reply(body='{"runs": []}')) as host:
        client = Client(host.url.replace("127.0.0.1", name), "t")
        assert client.get("/runs", limit=20) == {"runs": []}
        assert host.asked == ["/api/v1/runs?limit=20"]


def test_another_host_is_asked_by_the_proxy_for_it_whatever_all_others_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    with Scripted(Reply(body='{"runs": []}')) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert Client("http://ci.example", "t").get("/runs") == {"runs": []}
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
        assert Client("http://ci.example", "t").get("/runs") == {"runs": []}
        assert proxy.asked == ["http://ci.example/api/v1/runs"] * 2


def test_a_proxy_that_cannot_be_gone_by_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    error = refused(Client("https://ci.example", "t"))
    assert (error.exit_code, error.is_away) == (3, False)
    for said in ("ALL_PROXY", "socks5://", "HTTPS_PROXY", "ci.example in NO_PROXY"):
        assert said in str(error)
    assert "hunter2" not in str(error)
    monkeypatch.setenv("NO_PROXY", "ci.example")
    opened("https://ci.example", 1.0).close()
    with pytest.raises(NoProxy):
        opened("https://else.example", 1.0)


@pytest.mark.parametrize(
    "url", ["ci.example", "ci.example:8765", "ftp://ci.example", "http://", "http://ci.example:a"]
)
def test_what_is_no_url_is_the_command_s_mistake(url: str) -> None:
    error = refused(Client(url, "t"))
    assert error.exit_code == 2
    assert f"{url!r} is no URL of a host" in str(error)


def answered(reply: Reply) -> tuple[str, ClientError]:
    """The address that was asked, and what was said of its answer."""
    with Scripted(reply) as other:
        return other.url, refused(Client(other.url, "t"))


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_a_page_is_no_answer_of_a_staunch(status: int) -> None:
    url, error = answered(page(status))
    assert f"{url} is no Staunch: it answered {status} with a page (text/html)" in str(error)
    # What another program says of its pages says nothing of a key, or of a run.
    assert (error.exit_code, error.status, error.is_away) == (3, 0, False)


def test_neither_is_what_is_no_json() -> None:
    url, error = answered(Reply(body="hello", kind="text/plain"))
    assert f"{url} is no Staunch: it answered 200 with no JSON (text/plain)" in str(error)
    assert (error.exit_code, error.is_away) == (3, False)


def test_what_cannot_be_unpacked_is_told() -> None:
    url, error = answered(Reply(headers={"content-encoding": "gzip"}))
    assert f"{url} answered what cannot be read" in str(error)
    assert (error.exit_code, error.is_away) == (3, False)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_address_of_the_api_names_it(status: int) -> None:
    place = "https://ci.example/team/api/v1/runs?limit=20"
    url, error = answered(Reply(status, headers={"location": place}))
    assert str(error) == (
        f"{url} answered with a redirect to https://ci.example/team: use that address"
    )
    assert error.exit_code == 3


def test_a_redirect_to_a_login_is_told_without_what_belongs_to_it_alone() -> None:
    place = "https://sso.example/login?state=secret"
    _, error = answered(Reply(302, headers={"location": place}))
    assert "a redirect to https://sso.example/login, which is no address of Staunch's" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_its_host_may_answer_again(status: int) -> None:
    url, error = answered(page(status))
    assert f"{url} answered {status} with a page" in str(error)
    assert (error.exit_code, error.is_away) == (3, True)
    _, error = answered(Reply(status, '{"detail": "Ask again."}', "application/problem+json"))
    assert (str(error), error.exit_code, error.is_away) == ("Ask again.", 1, True)


def test_a_host_that_is_not_there_may_answer_again() -> None:
    error = refused(Client(NOBODY, "t"))
    assert (error.exit_code, error.is_away) == (3, True)
    assert "is `staunch up` running?" in str(error)


def test_a_page_is_not_saved_as_a_file(tmp_path) -> None:
    with Scripted(page()) as other, pytest.raises(ClientError) as caught:
        Client(other.url, "t").save("/artifacts/1", tmp_path / "dist.tar", 10)
    assert "is no Staunch" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
