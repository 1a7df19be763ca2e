"""Repos: a bare repository and a working copy that pushes to it, for tests with a real git."""

import os
import subprocess
from pathlib import Path

WHO = {"NAME": "Ada", "EMAIL": "ada@example.org"}
AUTHOR = {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in WHO.items()}


class Repo:
    """Write files, commit, push. The bare repository's hooks run as they are installed."""

    def __init__(self, folder: Path, name: str = "app") -> None:
        self.bare = folder / f"{name}.git"
        self.work = folder / name
        _run("git", "init", "-q", "--bare", "-b", "main", str(self.bare))
        _run("git", "init", "-q", "-b", "main", str(self.work))
        self.git("remote", "add", "origin", str(self.bare))

    def git(self, *arguments: str) -> str:
        """A git command in the working copy; answers what it printed."""
        return _run("git", "-C", str(self.work), *arguments).strip()

    def write(self, files: dict[str, str]) -> None:
        """Put these files there."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files: dict[str, str], message: str = "a change") -> str:
        """Commit everything, these files included, also if nothing changed; answers the id."""
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def push(self, branch: str = "main", *options: str) -> None:
        """Push HEAD to a branch of the bare repository."""
        self.git("push", "-q", *options, "origin", f"HEAD:refs/heads/{branch}")


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )
    return done.stdout
