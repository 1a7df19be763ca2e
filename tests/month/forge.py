"""SeededForge: a forge like GitHub that people push to, with repositories that it may lose.

It is the truth of the month: `heads` has every commit that was a ref's tip, since when and until
when. It speaks the status API, lists its repositories, and has git's part of Source and
RefSource; what it answers, and when it is away, the script decides.

Git and statuses go by names, as there: who had one before is led on to from it, until a stranger
has it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import httpx2

from ci_host.ports import Head, NoPipeline, SourceElsewhere, SourceRefused, SourceUnavailable
from ci_host.ref_ports import SeenRef
from pipelines.bundle import Bundle
from pipelines.ids import RunId
from pipelines.repo import Repo

ZERO = "0" * 40
TOKEN = "t"
FILE = ".staunch/pipeline.py"
URL = "https://forge.example"
REPO = re.compile(r"/repos/(?P<name>[^/]+/[^/]+)|/repositories/(?P<id>\d+)")
STATUS = re.compile(
    r"(/repos/(?P<name>[^/]+/[^/]+)|/repositories/(?P<id>\d+))/statuses/(?P<sha>\w{40})"
)
PLAN = """from staunch import on

on.push()
on.tag()


async def run(event, step):
    await step.sleep("work", "{minutes}m")
    {end}
"""


@dataclass
class Tip:
    """A commit while a ref led to it; `until` None: it still does."""

    ref: str
    commit: str
    since: float
    until: float | None = None


@dataclass
class ForgeRepo:
    """One repository. `names`: what it was called, the newest last. `is_strangers`: of somebody of
    whom nobody here knows anything."""

    id: int
    names: list[str]
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, str]] = field(default_factory=dict)
    heads: list[Tip] = field(default_factory=list)
    deleted_at: float | None = None
    pushed_at: float = 0.0
    is_strangers: bool = False

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def clone_url(self) -> str:
        return f"{URL}/{self.name}.git"

    def move(self, ref: str, commit: str, now: float) -> str:
        """Have a ref lead there; empty: nowhere. Answers where it led before."""
        before = self.refs.pop(ref, "")
        self.pushed_at = now
        for tip in self.heads:
            if tip.ref == ref and tip.until is None:
                tip.until = now
        if commit:
            self.refs[ref] = commit
            self.heads.append(Tip(ref, commit, now))
        return before


class SeededForge:
    """`is_away`: nothing of it answers. `ill`: what its API answers next, one after another."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.repos: dict[int, ForgeRepo] = {}
        self.is_away = False
        self.ill: list[httpx2.Response | Exception] = []
        self.told: dict[tuple[int, str, str], list[str]] = {}
        self._count = 0

    def make(self, name: str, *, is_strangers: bool = False) -> ForgeRepo:
        made = ForgeRepo(4_000 + len(self.repos), [name], is_strangers=is_strangers)
        self.repos[made.id] = made
        return made

    def commit(self, repo: ForgeRepo) -> str:
        """A new commit, whose pipeline ends in its own way after a while."""
        self._count += 1
        sha = hashlib.sha1(f"{repo.id} {self._count}".encode()).hexdigest()
        is_good = self._dice.random() < 0.7
        end = "return 1" if is_good else "raise ValueError('broken')"
        minutes = self._dice.choice([1, 5, 90])
        has_plan = self._dice.random() < 0.95
        plan = PLAN.format(minutes=minutes, end=end)
        repo.commits[sha] = {FILE: plan} if has_plan else {}
        return sha

    def named(self, name: str) -> ForgeRepo | None:
        """Whose name that is now, or was, if it is nobody's now."""
        there = [one for one in self.repos.values() if one.deleted_at is None]
        now = next((one for one in there if one.name == name), None)
        return now or next((one for one in there if name in one.names), None)

    # What people and the network ask.

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """The status API, strict as GitHub's."""
        if self.is_away:
            raise httpx2.ConnectError("nobody answers")
        if self.ill:
            answer = self.ill.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.url.path == "/user/repos":
            return self._listed(dict(request.url.params))
        known = request.headers.get("authorization") == f"Bearer {TOKEN}"
        if known and request.method == "GET" and (found := REPO.fullmatch(request.url.path)):
            return self._shown(found)
        found = STATUS.fullmatch(request.url.path)
        if not known or found is None:
            return _said(404, "Not Found")
        return self._status(found, json.loads(request.content))

    def _shown(self, found: re.Match[str]) -> httpx2.Response:
        repo = self._meant(found)
        if repo is None:
            return _said(404, "Not Found")
        if found["name"] and found["name"] != repo.name:
            there = {"location": f"{URL}/repositories/{repo.id}"}
            return httpx2.Response(301, headers=there, json={"message": "Moved Permanently"})
        shown = {"id": repo.id, "full_name": repo.name, "clone_url": repo.clone_url}
        return httpx2.Response(200, json=shown)

    def _listed(self, asked: dict[str, str]) -> httpx2.Response:
        """Its repositories, those first that were pushed to last; two in a page."""
        assert (asked["sort"], asked["direction"]) == ("pushed", "desc")
        ours = [one for one in self.repos.values() if not one.is_strangers]
        there = [one for one in ours if one.deleted_at is None]
        there.sort(key=lambda one: -one.pushed_at)
        page = int(asked.get("page", "1"))
        shown = [
            {"id": one.id, "pushed_at": _time(one.pushed_at)}
            for one in there[2 * page - 2 : 2 * page]
        ]
        more = {"link": f'<{URL}/?page=9>; rel="next"'}
        return httpx2.Response(200, json=shown, headers=more if len(there) > 2 * page else {})

    def _status(self, found: re.Match[str], body: dict[str, str]) -> httpx2.Response:
        repo = self._meant(found)
        if repo is None or found["sha"] not in repo.commits:
            return _said(404, "Not Found")
        if found["name"] and found["name"] != repo.name:
            there = f"{URL}/repositories/{repo.id}/statuses/{found['sha']}"
            return httpx2.Response(307, headers={"location": there}, json={"message": "Moved"})
        if len(body.get("description", "")) > 140:
            return _said(422, "Validation Failed")
        key = (repo.id, found["sha"], body["context"])
        self.told.setdefault(key, []).append(body["state"])
        return httpx2.Response(201, json={"id": 1})

    def _meant(self, found: re.Match[str]) -> ForgeRepo | None:
        if found["name"]:
            return self.named(found["name"])
        repo = self.repos.get(int(found["id"]))
        return None if repo is None or repo.deleted_at is not None else repo

    # Git: Source and RefSource.

    def bundle(self, repo: Repo, commit: str, ref: str) -> Bundle:
        files = self._at(repo, commit)
        if not files:
            raise NoPipeline(f"commit {commit} has no pipeline")
        return Bundle(files=files)

    def fetch(self, repo: Repo, commit: str, ref: str) -> None:
        self._at(repo, commit)

    def find(self, repo: Repo, name: str, ref: str) -> str:
        raise SourceRefused("this forge names commits in full")

    def tip(self, repo: Repo, ref: str) -> str | None:
        return self._git(repo).refs.get(ref)

    def is_on(self, repo: Repo, commit: str, ref: str) -> bool:
        return self._git(repo).refs.get(ref) == commit

    def head(self, repo: Repo) -> Head | None:
        commit = self._git(repo).refs.get("refs/heads/main")
        return None if commit is None else Head("refs/heads/main", commit)

    def message(self, repo: Repo, commit: str) -> str:
        self._at(repo, commit)
        return ""

    def changed(
        self, repo: Repo, commit: str, ref: str, *, since: str, base: str
    ) -> list[str] | None:
        """Its commits are not compared: none of its pipelines names paths."""
        return None

    def keep(self, repo: Repo, commit: str, run: RunId) -> str:
        return "/mirror"

    def refs(self, repo: Repo) -> Mapping[str, SeenRef]:
        return {ref: SeenRef(one, one) for ref, one in self._git(repo).refs.items()}

    async def open_pulls(self, repo: Repo) -> None:
        """Nobody is told: this month has no pull requests."""

    def _git(self, repo: Repo) -> ForgeRepo:
        if self.is_away:
            raise SourceUnavailable("nobody answers")
        name = repo.clone_url.removeprefix(f"{URL}/").removesuffix(".git")
        found = self.named(name)
        if found is None:
            raise SourceElsewhere(f"{repo.clone_url} is not there")
        if found.name != name:
            # As git says it, which follows no redirect.
            raise SourceElsewhere(f"{repo.name} has moved to {found.clone_url}")
        return found

    def _at(self, repo: Repo, commit: str) -> dict[str, str]:
        found = self._git(repo)
        if commit not in found.commits:
            raise SourceElsewhere(f"commit {commit} is not there")
        return found.commits[commit]


def _time(at: float) -> str:
    return datetime.fromtimestamp(1_000_000_000 + at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _said(code: int, message: str) -> httpx2.Response:
    return httpx2.Response(code, json={"message": message})
