"""Logging in at a forge, whose permissions are the ones here; against a strict one on loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.e2e.installed import FILE, Installed, Registered, installed, plan
from tests.login_forge import CLIENT, CLIENT_SECRET, TOKEN, LoginForge

pytestmark = [
    pytest.mark.xdist_group("e2e-forge-login"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

REPO, REPO_ID = "acme/shop", 4711
OURS = {"sec-fetch-site": "same-origin"}
GATE = "answer = await step.gate('go', approvers=['ada@gitea'])\nreturn answer.by"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("login")
    folder.chmod(0o711)
    with installed(folder) as it:
        yield it


@pytest.fixture(params=["gitea", "github", "gitlab"])
def forge(here: Installed, request: pytest.FixtureRequest) -> Iterator[LoginForge]:
    kind = request.param
    url = f"{here.installation.url}/login/{kind}/callback"
    with LoginForge(kind, REPO, REPO_ID, url) as found:
        connect(here, found)
        body = {"connection": kind, "external_id": str(REPO_ID), "name": REPO}
        assert here.call("PUT", "/repos", {**body, "clone_url": found.url}).status == 200
        yield found


@pytest.fixture
def browse(here: Installed) -> Iterator[Callable[[], "Browser"]]:
    """Makes browsers, and closes them."""
    with ExitStack() as stack:
        yield lambda: Browser(here, stack.enter_context(httpx2.Client(timeout=30)))


def connect(here: Installed, forge: LoginForge, kind: str = "") -> None:
    application = {"oauth_client_id": CLIENT, "oauth_client_secret": CLIENT_SECRET}
    body = {"id": kind or forge.kind, "kind": kind or forge.kind, "api_url": forge.url}
    made = here.call("PUT", "/connections", {**body, "token": TOKEN, **application})
    assert made.status == 200, made
    assert made.body["login"] is True
    assert CLIENT_SECRET not in str(made.body)


class Browser:
    """Follows nothing by itself."""

    def __init__(self, here: Installed, http: httpx2.Client) -> None:
        self.url = here.installation.url
        self.http = http

    def get(self, path: str, **options: object) -> httpx2.Response:
        return self.http.get(path if "://" in path else self.url + path, **options)  # type: ignore[arg-type]

    def away(self, forge: LoginForge, following: str = "/") -> str:
        """To the forge, and what it answers: the address of the callback."""
        sent = self.get(f"/login/{forge.kind}", params={"next": following})
        assert sent.status_code == 303, sent.text
        agreed = httpx2.get(sent.headers["location"])
        assert agreed.status_code == 302, agreed.text
        return str(agreed.headers["location"])

    def log_in(self, forge: LoginForge, following: str = "/") -> httpx2.Response:
        """All of it."""
        back = self.get(self.away(forge, following), headers={"sec-fetch-site": "cross-site"})
        assert back.status_code == 200, back.text
        return back

    def whoami(self) -> str:
        answer = self.get("/api/v1/whoami")
        return str(answer.json()["name"]) if answer.status_code == 200 else ""


def repos(browser: Browser) -> list[str]:
    return [one["id"] for one in browser.get("/api/v1/repos").json()["repos"]]


Browse = Callable[[], Browser]


def test_who_may_read_there_reads_here_and_who_may_not_finds_nothing(
    browse: Browse, forge: LoginForge
) -> None:
    forge.permissions["ada"] = "read"
    assert f'href="/login/{forge.kind}?next=/"' in browse().get("/login").text
    ada = browse()
    back = ada.log_in(forge, "/schedules")
    assert 'url=/schedules"' in back.text
    assert ada.whoami() == f"ada@{forge.kind}"
    assert repos(ada) == [f"{forge.kind}/{REPO_ID}"]
    cookie = next(one for one in back.headers.get_list("set-cookie") if "staunch_token" in one)
    assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower()
    mine = f"{forge.kind}/{REPO_ID}"
    start = {"repo": mine, "commit": "0" * 40}
    refused = ada.http.post(f"{ada.url}/api/v1/runs", json=start, headers=OURS)
    assert (refused.status_code, refused.json()["title"]) == (403, "Only to read")
    settings = ada.http.put(f"{ada.url}/api/v1/repos", json={}, headers=OURS)
    assert settings.status_code == 403
    forge.user = (12, "bo")
    bo = browse()
    bo.log_in(forge)
    assert repos(bo) == []
    nothing = bo.http.post(f"{bo.url}/api/v1/runs", json=start, headers=OURS)
    assert (nothing.status_code, nothing.json()["title"]) == (404, "No such repository")


def test_administrators_there_set_secrets_of_the_repository_here_and_nothing_more(
    browse: Browse, forge: LoginForge
) -> None:
    forge.permissions["ada"] = "admin"
    forge.ids["ada"], forge.user = 21, (21, "ada")
    ada = browse()
    ada.log_in(forge)
    secret = {"name": "KEY", "value": "long enough", "repo": f"{forge.kind}/{REPO_ID}"}
    done = ada.http.put(f"{ada.url}/api/v1/secrets", json=secret, headers=OURS)
    assert done.status_code == 200, done.text
    for everywhere in ({"name": "KEY", "value": "v"}, {**secret, "repo": ""}):
        more = ada.http.put(f"{ada.url}/api/v1/secrets", json=everywhere, headers=OURS)
        assert more.status_code == 403, more.text
    assert ada.get("/api/v1/tokens").status_code == 403


def test_a_login_is_good_once_in_its_browser_with_its_state(
    browse: Browse, forge: LoginForge
) -> None:
    mallory, victim = browse(), browse()
    # One that began in another browser is not ended in this one, nor afterwards in its own.
    begun = mallory.away(forge)
    assert victim.get(begun).status_code == 403
    assert victim.whoami() == ""
    assert mallory.get(begun).status_code == 403
    # A state that was never given.
    code = parse_qs(urlsplit(mallory.away(forge)).query)["code"][0]
    place = f"/login/{forge.kind}/callback"
    assert mallory.get(place, params={"code": code, "state": "made-up"}).status_code == 403
    # The answer, sent again.
    back = mallory.away(forge)
    assert mallory.get(back).status_code == 200
    assert mallory.get(back).status_code == 403
    # A code that was got for another challenge: somebody else's, put into this login.
    theirs = parse_qs(urlsplit(victim.away(forge)).query)["code"][0]
    own = parse_qs(urlsplit(mallory.away(forge)).query)["state"][0]
    fresh = mallory.get(place, params={"code": theirs, "state": own})
    assert (fresh.status_code, "Not logged in" in fresh.text) == (403, True)
    # Whoever said no at the forge.
    state = parse_qs(urlsplit(mallory.away(forge)).query)["state"][0]
    denied = mallory.get(place, params={"state": state, "error": "access_denied"})
    assert (denied.status_code, "access_denied" in denied.text) == (403, True)
    assert mallory.get("/login/none").status_code == 404


def test_a_forge_that_knows_another_address_of_ours_lets_nobody_in(
    browse: Browse, forge: LoginForge
) -> None:
    forge.redirect_uri = "https://elsewhere.example/login/callback"
    sent = browse().get(f"/login/{forge.kind}")
    assert httpx2.get(sent.headers["location"]).status_code == 400


def test_a_forge_that_is_away_lets_nobody_in_and_says_so(browse: Browse, forge: LoginForge) -> None:
    browser = browse()
    back = browser.away(forge)
    forge.is_away = True
    answer = browser.get(back)
    assert (answer.status_code, browser.whoami()) == (503, "")


def test_a_logout_makes_the_key_worthless_wherever_it_was_copied(
    browse: Browse, forge: LoginForge
) -> None:
    browser, thief = browse(), browse()
    browser.log_in(forge)
    thief.http.cookies.set("staunch_token", browser.http.cookies["staunch_token"])
    assert thief.whoami() == f"ada@{forge.kind}"
    browser.http.post(f"{browser.url}/logout", headers=OURS)
    assert thief.whoami() == ""


def test_an_administrator_ends_a_login_whose_name_they_know(
    here: Installed, browse: Browse, forge: LoginForge
) -> None:
    forge.user, forge.ids["eve"] = (77, "eve"), 77
    browser = browse()
    browser.log_in(forge)
    assert browser.whoami() == f"eve@{forge.kind}"
    assert f"of eve@{forge.kind} is revoked" in here.staunch("token", "revoke", f"eve@{forge.kind}")
    assert browser.whoami() == ""


def test_an_account_or_a_repository_that_only_has_the_name_is_not_the_one(
    browse: Browse, forge: LoginForge
) -> None:
    forge.permissions["ada"] = "admin"
    forge.ids["ada"], forge.user = 31, (31, "ada")
    ada = browse()
    forge.ids["ada"] = 666
    ada.log_in(forge)
    assert repos(ada) == []
    forge.user, forge.ids["bo"], forge.permissions["bo"] = (32, "bo"), 32, "admin"
    forge.repo_id = 999
    bo = browse()
    bo.log_in(forge)
    assert repos(bo) == []


def test_a_gate_may_name_somebody_of_a_forge(here: Installed, browse: Browse) -> None:
    repo: Registered = here.repo("gated")
    commit = repo.pushed({FILE: plan(GATE)})
    run = here.run(commit)
    here.waiting(run, "gate go")
    told = here.answer(run, "go", who="grace")
    assert told.status == 403, told
    url = f"{here.installation.url}/login/gitea/callback"
    with LoginForge("gitea", REPO, REPO_ID, url) as forge:
        connect(here, forge)
        # The repository is one of the forge's now.
        at = {"connection": "gitea", "external_id": str(REPO_ID), "name": REPO}
        made = here.call("PUT", "/repos", {**at, "clone_url": str(repo.bare)})
        assert made.status == 200, made
        forge.permissions["ada"], forge.ids["ada"], forge.user = "write", 41, (41, "ada")
        ada = browse()
        ada.log_in(forge)
        # Not this run: it is another repository's, of which Ada sees nothing.
        answer = ada.http.post(f"{ada.url}/api/v1/runs/{run}/gates/go", json={}, headers=OURS)
        assert answer.status_code == 404
        theirs = here.call("POST", "/runs", {"repo": f"gitea/{REPO_ID}", "commit": commit})
        assert theirs.status == 201, theirs
        (started,) = theirs.body["runs"]
        here.waiting(started, "gate go")
        opened = ada.http.post(f"{ada.url}/api/v1/runs/{started}/gates/go", json={}, headers=OURS)
        assert opened.status_code == 200, opened.text
        assert here.ended(started)["output"] == ["ada@gitea"]
