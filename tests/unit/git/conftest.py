"""Real repositories for the git tests: one bare upstream, a work tree to push from, a mirror."""

import os
import subprocess
from pathlib import Path

import pytest

from ci_host.adapters.git.bundle import read_bundle
from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Registered
from pipelines.repo import Repo

PIPELINE = "async def run(event, step): ...\n"


class World:
    """An upstream and what may be done to it; `mirrors` fetch from it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work, self.upstream = folder, folder / "work", folder / "lock.git"
        self.git("init", "-q", "--bare", "-b", "main", str(self.upstream), cwd=folder)
        self.git("clone", "-q", str(self.upstream), str(self.work), cwd=folder)
        self.repo = self.repo_at(str(self.upstream))
        self.mirrors = self.mirrors_with(Registered(paths=frozenset({self.upstream})))

    def repo_at(self, url: str) -> Repo:
        return Repo(id="c/1", connection="c", external_id="1", name="lock", clone_url=url)

    def mirrors_with(self, registered: Registered, **options) -> Mirrors:
        return Mirrors(self.folder / "mirrors", lambda: registered, **options)

    @property
    def mirror(self) -> Path:
        return self.mirrors.path(self.repo)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ALLOW_PROTOCOL": "file"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "a", f"GIT_{who}_EMAIL": "a@b.example"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.work,
            env=env,
            check=True,
            capture_output=True,
            timeout=60,
        )
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, str | bytes] | None = None, branch: str = "main") -> str:
        """Commit the files, push them to a branch, whatever was there, and say which commit."""
        for name, content in (files or {}).items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.push(branch)

    def push(self, branch: str = "main") -> str:
        self.git("push", "-q", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def rewrite(self) -> str:
        """Force-push another history to main and have the upstream forget the old one."""
        self.git("commit", "-q", "--amend", "--allow-empty", "-m", "rewritten")
        commit = self.push()
        self.git("reflog", "expire", "--expire=now", "--all", cwd=self.upstream)
        self.git("gc", "-q", "--prune=now", cwd=self.upstream)
        return commit

    def read(self, commit: str) -> dict[str, str]:
        self.mirrors.fetch(self.repo, commit, "refs/heads/main")
        return read_bundle(self.mirror, commit).files


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
