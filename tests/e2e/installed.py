"""Installed: a real installation with a recording forge, and what people do to it from outside."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.answer_forms import described
from tests.bench.pushing import signed
from tests.demo.forge import TOKEN, RecordingForge, Told
from tests.demo.installation import Installation, until
from tests.patience import PATIENCE_S
from tests.repos import Repo
from webhooks.git.hook import install
from webhooks.signature import standard_key

FILE = ".staunch/pipeline.py"
ZERO = "0" * 40
FINAL = frozenset({"success", "failure", "error"})
TIMEOUT_S = PATIENCE_S


def plan(body: str, top: str = "") -> str:
    """A pipeline whose `run` has this body; the body begins in line 6, behind a one-line top."""
    lines = body.strip("\n").splitlines()
    run = "".join(f"    {line}\n" for line in lines)
    return f"import asyncio\n\nfrom staunch import *\n{top}\nasync def run(event, step):\n{run}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API."""

    status: int
    body: Any

    @property
    def detail(self) -> str:
        """What a refusal says."""
        return str(self.body["detail"])


class Installed:
    """People are known by name: `people[name]` is a token; "" is the administrator's."""

    def __init__(self, folder: Path, installation: Installation, forge: RecordingForge) -> None:
        self.folder = folder
        self.installation = installation
        self.forge = forge
        self.people = {"": (installation.data / "token").read_text().strip()}
        self._http = httpx2.Client(base_url=installation.url, timeout=PATIENCE_S)
        for name, teams in (("grace", ["ops"]), ("linus", ["ops"]), ("mallory", [])):
            made = self.call("POST", "/tokens", {"name": name, "teams": teams})
            self.people[name] = made.body["secret"]

    def close(self) -> None:
        """Let go of the connection to it."""
        self._http.close()

    def call(self, method: str, path: str, body: object = None, *, who: str = "") -> Answer:
        """A call of the API as one of the people. What it answers has the form that it has said."""
        answer = self._http.request(
            method,
            f"/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.people[who]}"},
        )
        told = answer.json()
        label = described().label(method, f"/api/v1{path}")
        if answer.is_success and label:
            assert described().wrong(label, told) == []
        return Answer(answer.status_code, told)

    def get(self, path: str) -> Any:
        """What the API says there."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def text(self, path: str) -> str:
        """What the API says there, as it came."""
        headers = {"Authorization": f"Bearer {self.people['']}"}
        answer = self._http.get(f"/api/v1{path}", headers=headers)
        assert answer.status_code == 200, answer
        return answer.text

    def page(self, path: str) -> str:
        """A page as a browser gets it."""
        cookie = {"Cookie": f"staunch_token={self.people['']}"}
        answer = self._http.get(path, headers=cookie)
        assert answer.status_code == 200
        return answer.text

    def hook(
        self, repo: "Registered", changes: list[tuple[str, str, str]], identity: str = ""
    ) -> tuple[str, Answer]:
        """A webhook call for (old, new, ref) changes; answers the delivery's id and the answer."""
        headers, body = signed(repo, changes, identity)
        answer = self._http.post(repo.path, headers=headers, content=body)
        return headers["webhook-id"], Answer(answer.status_code, answer.json())

    def repo(self, name: str) -> "Registered":
        """A new repository, registered, with its push hook."""
        folder = self.folder / name
        folder.mkdir(mode=0o711)
        return Registered(self, folder, f"e2e/{name}")

    def outcome(self, delivery: str) -> dict[str, Any]:
        """What became of a delivery, once it is told."""

        def look() -> dict[str, Any] | None:
            found = self.get("/deliveries?limit=200")["deliveries"]
            told = (d for d in found if d["id"] == delivery and d["state"] != "received")
            return next(told, None)

        return until(f"the outcome of delivery {delivery}", look, TIMEOUT_S)

    def runs(self, commit: str, count: int = 1) -> list[dict[str, Any]]:
        """The commit's runs, once there are so many."""

        def look() -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = self.get(f"/runs?commit={commit}")["runs"]
            return found if len(found) >= count else None

        return until(f"{count} runs of {commit}", look, TIMEOUT_S)

    def run(self, commit: str) -> str:
        """The id of the commit's only run."""
        (run,) = self.runs(commit)
        return str(run["id"])

    def show(self, run: str) -> dict[str, Any]:
        """A run with all that belongs to it."""
        found: dict[str, Any] = self.get(f"/runs/{run}")
        return found

    def waiting(self, run: str, what: str) -> None:
        """Until the run waits for it."""
        until(f"{run} to wait for {what}", lambda: self.show(run)["waiting_for"] == what, TIMEOUT_S)

    def ended(self, run: str) -> dict[str, Any]:
        """The run, once it is over."""

        def look() -> dict[str, Any] | None:
            detail = self.show(run)
            return detail if detail["finished_at"] else None

        return until(f"the end of {run}", look, TIMEOUT_S)

    def answer(self, run: str, gate: str, *, who: str = "grace", **body: Any) -> Answer:
        """Approve, or with `approved=False` reject, as one of the people."""
        return self.call("POST", f"/runs/{run}/gates/{gate}", body, who=who)

    def told(self, commit: str, context: str = "staunch/pipeline") -> list[Told]:
        """What the forge was told about this commit and context so far."""
        return [t for t in self.forge.told if (t.commit, t.context) == (commit, context)]

    def verdict(self, commit: str, context: str = "staunch/pipeline") -> Told:
        """The final status of this commit and context, once it is told."""

        def look() -> Told | None:
            return next((t for t in self.told(commit, context) if t.state in FINAL), None)

        return until(f"a verdict for {context} of {commit}", look, TIMEOUT_S)

    def staunch(self, *arguments: str, code: int = 0, who: str = "") -> str:
        """What a command prints; its exit code must be this one."""
        done = self.installation.command(*arguments, token=self.people[who])
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout if code == 0 else done.stderr


class Registered(Repo):
    """A registered repository. `key` and `path` are what its hook signs with and calls."""

    def __init__(self, installed: Installed, folder: Path, name: str) -> None:
        super().__init__(folder)
        # So that its commits are no other repository's too.
        self.write({"README.md": name})
        self.name = name
        self._installed = installed
        self.connection = folder.name
        body = {"id": self.connection, "kind": "git", "api_url": installed.forge.url}
        made = installed.call("PUT", "/connections", {**body, "token": TOKEN})
        assert made.status == 200, made
        self.key = standard_key(made.body["secret"])
        self.path = f"/hooks/{self.connection}"
        registered = installed.call(
            "PUT",
            "/repos",
            {
                "connection": self.connection,
                "external_id": str(self.bare),
                "name": name,
                "clone_url": str(self.bare),
            },
        )
        assert registered.status == 200, registered
        install(self.bare, made.body["webhook"], made.body["secret"], name=name)

    def pushed(self, files: dict[str, str], message: str = "a change", branch: str = "main") -> str:
        """Commit these files and push them; answers the commit."""
        commit = self.commit(files, message)
        self.push(branch, "--force")
        return commit

    def plan(self, body: str, top: str = "") -> str:
        """Push a pipeline whose `run` has this body; answers its run."""
        return self._installed.run(self.pushed({FILE: plan(body, top)}))

    def silent(self, files: dict[str, str]) -> str:
        """Commit these files and bring them there without telling anybody; answers the commit."""
        commit = self.commit(files)
        self.push_silently("main", "--force")
        return commit

    def push_silently(self, branch: str, *options: str) -> None:
        """Push HEAD without telling anybody."""
        hook = self.bare / "hooks" / "post-receive"
        hook.rename(hook.with_suffix(".off"))
        self.push(branch, *options)
        hook.with_suffix(".off").rename(hook)


def delivery_of(installed: Installed, repo: Registered, number: int = 1) -> dict[str, Any]:
    """What became of the repository's delivery of this number, once it is told."""

    def look() -> list[str] | None:
        listed = installed.get("/deliveries?limit=200")["deliveries"]
        ours = [d["id"] for d in listed if d["connection"] == repo.connection]
        return ours if len(ours) >= number else None

    return installed.outcome(until(f"delivery {number} of {repo.name}", look, TIMEOUT_S)[-number])


@contextmanager
def installed(folder: Path, *options: str, wrapper: tuple[str, ...] = ()) -> Iterator[Installed]:
    """Start one, and end it. `folder` must be one that other users may enter."""
    with RecordingForge() as forge:
        installation = Installation(folder, "--slots", "3", *options, wrapper=wrapper)
        installation.start()
        try:
            here = Installed(folder, installation, forge)
            try:
                yield here
            finally:
                here.close()
        finally:
            installation.stop()


def unique(text: str) -> str:
    """A short name that is made from a text, for folders."""
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:10]


def parsed(output: str) -> Any:
    """A command's --json output, read."""
    return json.loads(output)
