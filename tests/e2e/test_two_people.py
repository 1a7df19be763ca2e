"""Two people, two repositories: of the other's there is nothing, by no route that there is.

The routes come from the application itself, so one that is new cannot be forgotten.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ci_host.api.permissions import NEEDS, SOCKET, Place
from tests.e2e.installed import FILE, Installed, Registered, installed, plan
from tests.web.routes import Address, addresses

pytestmark = [
    pytest.mark.xdist_group("e2e-two-people"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

BODY = """
await step.job("unit", run="mkdir d; echo secret > d/a", artifacts={"d": "d"})
await step.gate("go")
"""
TOP = "on.push()\non.schedule('0 3 1 1 *', name='n')\n"
BY_ID = {Place.RUN, Place.JOB, Place.REPO, Place.REPO_OR_LIST, Place.REPO_OR_HERE}
SWEPT = [one for one in addresses() if NEEDS[one.words].place in BY_ID]
LISTS = [one for one in addresses() if NEEDS[one.words].place is Place.LIST]
# What ends what it is about comes last, so that the others find it whole.
LAST = ("fork", "rerun", "again", "cancel", "kill")
HIDING = ("There is no run", "There is no job", "is not registered")
FIELDS = {
    **{"name": "N", "environment": "prod", "value": "v", "at_once": 1, "number": 1},
    **{"commit": "0" * 40, "refs": ["main"], "key": "go", "decision": "approve"},
}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a key that is good for one repository, and what is in it."""

    secret: str
    repo: str
    run: str
    job: str

    def path(self, address: Address) -> str:
        """The route's path with this side's ids."""
        given = {"run": self.run, "job": self.job, "name": "d", "act": "pause"}
        given["key"] = "go" if "gates" in address.path else "unit"
        path = address.path.replace("{key:path}", given["key"])
        path = path.replace("{repo:path}", self.repo)
        for name, value in given.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, f"{path}: this test does not know what to put there"
        return path


@dataclass(frozen=True, slots=True)
class Told:
    """What came back."""

    status: int
    text: str

    @property
    def is_hiding(self) -> bool:
        """Whether it says that there is no such thing."""
        return self.status == 404 and any(words in self.text for words in HIDING)

    def without(self, side: Side) -> str:
        """Its text, whatever was asked for."""
        words = (side.job, side.run, side.repo, side.job[:30])
        text = self.text
        for word in words:
            text = text.replace(word, "…")
        return text


class Two:
    """Ada and Bo, each of whom sees one repository; and what is nowhere."""

    def __init__(self, here: Installed) -> None:
        self.here = here
        self.ada, self.bo = (
            self._side("ada", here.repo("shop")),
            self._side("bo", here.repo("bank")),
        )
        run = f"{self.bo.run[:-4]}{'0000' if self.bo.run[-4:] != '0000' else '1111'}"
        job = self.bo.job.replace(self.bo.run, run)
        self.nowhere = Side(secret="", repo="e2e/none", run=run, job=job)

    def _side(self, name: str, repo: Registered) -> Side:
        run = self.here.run(repo.pushed({FILE: plan(BODY, TOP)}))
        self.here.waiting(run, "gate go")
        (attempt,) = self.here.show(run)["attempts"]
        words = ("--scope", "admin", "--repo", repo.name, "--days", "1")
        secret = self.here.staunch("token", "add", name, *words).strip()
        return Side(secret, repo.name, run, attempt["job"])

    def ask(self, who: Side, address: Address, about: Side) -> Told:
        """One request of somebody about somebody's."""
        path = about.path(address)
        if address.method == SOCKET:
            return self._open(who, path)
        fields = {**FIELDS, "repo": about.repo}
        options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {who.secret}"}}
        if address.method in ("GET", "DELETE"):
            options["params"] = {k: v for k, v in fields.items() if not isinstance(v, list)}
            options["params"] |= {"timeout_s": 0}
        elif path.startswith("/api/"):
            options["json"] = fields
        else:
            options["data"] = {k: v for k, v in fields.items() if not isinstance(v, list)}
        url = self.here.installation.url + path
        with httpx2.stream(address.method, url, timeout=60, **options) as answer:
            # What is live never ends, and has begun.
            live = answer.headers.get("content-type", "").startswith("text/event-stream")
            text = "" if live else answer.read().decode("utf-8", "replace")
            return Told(answer.status_code, text)

    def _open(self, who: Side, path: str) -> Told:
        url = self.here.installation.url.replace("http", "ws", 1) + path + "?term=dumb"
        headers = {"Authorization": f"Bearer {who.secret}"}
        try:
            with connect(url, additional_headers=headers):
                return Told(101, "")
        except InvalidStatus as refused:
            answer = refused.response
            return Told(answer.status_code, (answer.body or b"").decode())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    folder.chmod(0o711)
    with installed(folder) as here:
        yield Two(here)


def in_turn(address: Address) -> tuple[bool, str]:
    return address.path.rpartition("/")[2] in LAST, address.words


@pytest.mark.parametrize("address", sorted(SWEPT, key=in_turn), ids=lambda one: one.words)
def test_the_others_is_what_does_not_exist_and_ones_own_is_there(
    two: Two, address: Address
) -> None:
    others = two.ask(two.ada, address, two.bo)
    none = two.ask(two.ada, address, two.nowhere)
    assert others.status == 404, others
    assert others.is_hiding, others
    assert (none.status, none.without(two.nowhere)) == (404, others.without(two.bo))
    own = two.ask(two.bo, address, two.bo)
    assert not own.is_hiding, own
    assert own.status < 500, own
    assert own.status != 403, own


def test_the_sweep_has_met_every_kind_of_route() -> None:
    assert len(SWEPT) >= 50
    assert {NEEDS[one.words].place for one in SWEPT} == BY_ID
    assert any(one.method == SOCKET for one in SWEPT)


@pytest.mark.parametrize("address", LISTS, ids=lambda one: one.words)
def test_no_list_names_the_others_repository_or_its_runs(two: Two, address: Address) -> None:
    nothing = Side(secret="", repo="", run="", job="")
    told = two.ask(two.ada, address, nothing)
    assert told.status == 200, told
    assert two.bo.repo not in told.text
    assert two.bo.run not in told.text


def test_the_lists_hold_ones_own(two: Two) -> None:
    headers = {"Authorization": f"Bearer {two.ada.secret}"}

    def get(path: str) -> str:
        return httpx2.get(f"{two.here.installation.url}{path}", headers=headers).text

    runs = json.loads(get("/api/v1/runs"))["runs"]
    assert {one["repo_name"] for one in runs} == {two.ada.repo}
    assert [one["name"] for one in json.loads(get("/api/v1/repos"))["repos"]] == [two.ada.repo]
    assert two.ada.repo in get("/api/v1/schedules")
    assert len(json.loads(get("/api/v1/deliveries"))["deliveries"]) >= 1
    assert two.ada.run in get("/")


def test_a_key_is_listed_and_revoked_by_its_id_or_its_name(two: Two) -> None:
    here = two.here
    here.people["bot"] = here.staunch("token", "add", "ci-bot", "--scope", "read").strip()
    listed = here.staunch("token", "list")
    (line,) = [one for one in listed.splitlines() if "\tci-bot\t" in one]
    assert line.split("\t")[2:] == ["read", "everywhere", "until revoked"]
    assert f"\tada\tadmin\t{two.ada.repo}\tuntil 20" in listed
    assert here.call("GET", "/runs", who="bot").status == 200
    assert here.call("POST", "/runs", {}, who="bot").status == 403
    assert "of ci-bot is revoked" in here.staunch("token", "revoke", "ci-bot")
    assert here.call("GET", "/runs", who="bot").status == 401
    assert "ci-bot" not in here.staunch("token", "list")
    assert "revoked" in here.staunch("token", "list", "--all")
    assert "`staunch token list`" in here.staunch("token", "revoke", "ci-bot", code=4)
    assert "one of read, act, admin" in here.staunch("token", "add", "x", "--scope", "all", code=2)
