import http.server
import socket
import threading

import pytest

from ci_host.adapters.git.command import run_git
from ci_host.adapters.git.errors import FetchFailed, OriginRefused, RepoGone
from ci_host.adapters.git.origin import Registered, origin_of
from pipelines.repo import Connection, ForgeKind, Repo

HUB = Connection(id="hub", kind=ForgeKind.GITHUB, api_url="https://api.github.com", token="t0ken")
TEA = Connection(id="tea", kind=ForgeKind.GITEA, api_url="https://tea.example:3000/api/v1")
REGISTERED = Registered(connections={"hub": HUB, "tea": TEA})
PUBLIC = "140.82.121.3"


def check(url, *addresses, connection="hub", registered=REGISTERED):
    repo = Repo(
        id=f"{connection}/1", connection=connection, external_id="1", name="lock", clone_url=url
    )
    return origin_of(repo, registered, lambda host, port: addresses)


def refuse(url, *addresses, error=OriginRefused, **options):
    with pytest.raises(error) as caught:
        check(url, *addresses, **options)
    return str(caught.value)


def test_the_connections_own_host_is_fetched_from_over_https_and_pinned_to_what_was_checked():
    origin = check("https://github.com/waterways/lock.git", PUBLIC, "2606:50c0::1")
    assert (origin.url, origin.protocol) == ("https://github.com/waterways/lock.git", "https")
    assert origin.config["http.curloptResolve"] == f"github.com:443:{PUBLIC},[2606:50c0::1]"


def test_the_token_goes_into_a_header_for_that_host_and_not_into_the_url():
    origin = check("https://github.com/waterways/lock.git", PUBLIC)
    assert "t0ken" not in origin.url
    assert origin.config["http.https://github.com/.extraHeader"].startswith("Authorization: Basic")


def test_a_host_with_a_port_is_that_host_with_that_port():
    origin = check("https://tea.example:3000/a/b", PUBLIC, connection="tea")
    assert origin.config["http.curloptResolve"] == f"tea.example:3000:{PUBLIC}"
    refuse("https://tea.example/a/b", PUBLIC, connection="tea")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a/b",
        "https://github.com.evil.example/a/b",
        "https://github.com@evil.example/a/b",
        "https://user:pass@github.com/a/b",
        "https://github.com:8443/a/b",
        "https://127.0.0.1/a/b",
        "https://2130706433/a/b",
        "https://0177.0.0.1/a/b",
        "https://[::1]/a/b",
        "https://169.254.169.254/latest",
        "https://github.com/a?x=1",
        "https://github.com/a#b",
        "https://github.com/a b",
        "https://github.com/a\nb",
        "https://g\u0131thub.com/a/b",
        "https://[/a",
        "https://github.com:x/a",
        "https:///a/b",
    ],
)
def test_any_other_host_or_dressed_up_url_is_refused(url):
    assert "lock" in refuse(url, PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "http://github.com/a/b",
        "git://github.com/a/b",
        "ssh://git@github.com/a/b",
        "git@github.com:a/b.git",
        "file:///etc",
        "ext::sh -c touch% x",
        "fd::17",
        "--upload-pack=touch x",
        "-u",
        "relative/path.git",
        "~/x.git",
        "",
    ],
)
def test_what_is_no_https_url_or_absolute_path_is_refused(url):
    assert "cannot be a clone URL" in refuse(url, PUBLIC)


@pytest.mark.parametrize(
    "address",
    (
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1"),
    ),
)
def test_a_host_that_resolves_to_a_private_address_is_refused_even_beside_a_public_one(address):
    assert "not a public address" in refuse("https://github.com/a/b", PUBLIC, address)


def test_a_host_that_the_operator_called_private_may_have_any_address():
    registered = Registered(connections={"tea": TEA}, private_hosts=frozenset({"tea.example"}))
    origin = check(
        "https://tea.example:3000/a/b", "10.0.0.5", connection="tea", registered=registered
    )
    assert "http.curloptResolve" not in origin.config


def test_a_host_that_does_not_resolve_now_may_be_tried_again():
    def resolve(host, port):
        raise socket.gaierror("no such host")

    repo = Repo(
        id="hub/1", connection="hub", external_id="1", name="n", clone_url="https://github.com/a"
    )
    with pytest.raises(FetchFailed, match="cannot be resolved"):
        origin_of(repo, REGISTERED, resolve)
    refuse("https://github.com/a/b", error=FetchFailed)


def test_a_connection_without_a_host_cannot_be_cloned_from():
    refuse("https://github.com/a/b", PUBLIC, connection="nobody")
    registered = Registered(clone_hosts={"bare": "git.example"})
    assert check("https://git.example/a", PUBLIC, connection="bare", registered=registered)


def test_a_path_must_be_registered_and_links_do_not_lead_out_of_it(world, tmp_path):
    inside = Registered(paths=frozenset({world.upstream}))
    assert check(str(world.upstream), registered=inside).protocol == "file"
    assert "not registered" in refuse(str(world.upstream), registered=Registered())
    other = Registered(paths=frozenset({tmp_path / "elsewhere"}))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.git").symlink_to(world.upstream)
    for url in ("elsewhere/link.git", "elsewhere/../lock.git"):
        assert "not registered" in refuse(f"{tmp_path}/{url}", registered=other)


def test_a_registered_folder_covers_the_bare_repositories_in_it(world, tmp_path):
    folder = Registered(paths=frozenset({tmp_path}))
    assert check(str(world.upstream), registered=folder).url == str(world.upstream)
    refuse(str(world.work), registered=folder, error=RepoGone)
    refuse(str(tmp_path / "none.git"), registered=folder, error=RepoGone)
    refuse("/nul\0byte", registered=folder, error=RepoGone)


def test_git_itself_refuses_every_protocol_but_the_one_that_is_named(world, tmp_path):
    world.mirrors.fetch(world.repo, world.commit({"a": "1"}), "refs/heads/main")
    mark = tmp_path / "mark"
    for url in (
        f"ext::touch {mark}",
        "ssh://127.0.0.1/x",
        "git://127.0.0.1/x",
        "http://127.0.0.1/",
    ):
        for protocol in ("none", "https", "file"):
            answer = run_git(world.mirror, "fetch", "--end-of-options", url, protocol=protocol)
            assert "not allowed" in answer.said
    assert run_git(world.mirror, "fetch", str(world.upstream), protocol="https").status != 0
    url = f"--upload-pack=touch {mark}"
    run_git(world.mirror, "fetch", "--end-of-options", url, protocol="file")
    assert not mark.exists()


def test_a_redirect_to_another_host_is_not_followed(world):
    world.mirrors.fetch(world.repo, world.commit({"a": "1"}), "refs/heads/main")
    asked = []

    class Redirecting(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/secret" + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/a.git"
        answer = run_git(world.mirror, "fetch", url, "main", protocol="http")
        server.shutdown()
        thread.join()
    assert answer.status != 0
    assert len(asked) == 1
