"""Pushing: a bare repository with a pipeline, and webhook calls for it, signed as its hook does."""

import base64
import hashlib
import hmac
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.demo.installation import Installation

_serial = iter(range(1_000_000))


@dataclass
class BenchRepo:
    """A registered repository whose hook is not used: the bench calls the webhook itself."""

    name: str
    bare: Path
    work: Path
    path: str
    key: bytes
    head: str

    @staticmethod
    async def make(installation: Installation, folder: Path, pipeline: str) -> "BenchRepo":
        """Create it, register it, and commit the pipeline without telling anybody."""
        folder.mkdir(mode=0o711)
        bare, work = folder / "app.git", folder / "app"
        _git(None, "init", "-q", "--bare", "-b", "main", str(bare))
        name = f"bench/{folder.name}"
        installation.staunch("repo", "add", str(bare), "--name", name)
        settings = json.loads((bare / "hooks" / "staunch.json").read_text())
        (bare / "hooks" / "post-receive").unlink()
        _git(None, "init", "-q", "-b", "main", str(work))
        (work / ".staunch").mkdir()
        (work / ".staunch" / "pipeline.py").write_text(pipeline)
        repo = BenchRepo(name, bare, work, settings["path"], bytes.fromhex(settings["key"]), "")
        repo.commit("the pipeline")
        return repo

    def commit(self, message: str) -> tuple[str, str]:
        """Commit something and push it; answers (before, after)."""
        before = self.head or "0" * 40
        (self.work / "change.txt").write_text(f"{message} {next(_serial)}\n")
        _git(self.work, "add", "-A")
        _git(self.work, "commit", "-q", "-m", message)
        _git(self.work, "push", "-q", str(self.bare), "main")
        self.head = _git(self.work, "rev-parse", "HEAD").strip()
        return before, self.head


class Signer(Protocol):
    """Whose push it is said to be."""

    name: str
    bare: Path
    key: bytes


def signed(
    repo: Signer, changes: list[tuple[str, str, str]], identity: str = ""
) -> tuple[dict[str, str], bytes]:
    """(headers, body) of a webhook call, by Standard Webhooks; without an identity, a new one."""
    listed = [{"old": old, "new": new, "ref": ref} for old, new, ref in changes]
    body = json.dumps({"repo": str(repo.bare), "name": repo.name, "changes": listed}).encode()
    identity = identity or f"bench_{time.time_ns()}_{next(_serial)}"
    stamp = str(int(time.time()))
    content = f"{identity}.{stamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(repo.key, content, hashlib.sha256)).decode()
    headers = {
        "webhook-id": identity,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature}",
        "content-type": "application/json",
    }
    return headers, body


def _git(folder: Path | None, *arguments: str) -> str:
    where = ["-C", str(folder)] if folder else []
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", *where, *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout
