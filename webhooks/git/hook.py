"""Hook: puts our post-receive hook into a bare repository of plain git, and keeps what was there.

What the hook does is in `post_receive.py`, of which a copy is installed. Installing again updates
it; a hook that is not ours is moved to `post-receive.d`, from where ours runs it as before.
"""

import importlib.resources
import json
import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from webhooks.errors import HookRefused
from webhooks.signature import standard_key

MARK = "# Staunch's hook: installing again replaces it; put your own into post-receive.d/"
LAUNCHER = f"""#!/bin/sh
{MARK}
# A push is never failed by this: without a python3 it is not announced, and that is all.
# The system's own comes first: a version manager's shim takes longer than the whole hook.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3) || {{
    echo "staunch: there is no python3, so this push is not announced" >&2
    exit 0
}}
exec "$python" -I -S "$(dirname "$0")/staunch_post_receive.py"
"""
EARLIER_HOOK = "10-earlier-post-receive"


def install(bare_repo_path: Path, url: str, secret: str, *, name: str = "") -> Path:
    """Install the hook, or bring it up to date; the answer is its path.

    `url` is the connection's webhook URL. The repository's id on its connection, which the hook
    sends along, is its resolved path. Raises HookRefused; then nothing was changed.
    """
    try:
        repo = bare_repo_path.resolve(strict=True)
    except OSError as error:
        raise HookRefused(f"there is no repository at {bare_repo_path}: {error}") from error
    hooks = _hooks_of(repo)
    settings = _settings(repo, _checked(url), secret, name or repo.name.removesuffix(".git"))
    hooks.mkdir(exist_ok=True)
    _make_room(hooks)
    script = importlib.resources.files("webhooks.git").joinpath("post_receive.py").read_text()
    _write(hooks / "staunch.json", json.dumps(settings, indent=2) + "\n", 0o600, repo)
    _write(hooks / "staunch_post_receive.py", script, 0o644, repo)
    # Last: from here on it runs, and everything that it needs is there.
    _write(hooks / "post-receive", LAUNCHER, 0o755, repo)
    return hooks / "post-receive"


def _hooks_of(repo: Path) -> Path:
    if not ((repo / "HEAD").is_file() and (repo / "objects").is_dir()):
        raise HookRefused(f"{repo} is no bare repository; give the path of one")
    config = repo / "config"
    if config.is_file() and "hookspath" in config.read_text(errors="replace").lower():
        raise HookRefused(
            f"{repo} has core.hooksPath set, so its own hooks never run. Remove that setting, or"
            " call the hook from there yourself."
        )
    hook = repo / "hooks" / "post-receive"
    if hook.is_symlink() or (repo / "hooks").is_symlink():
        raise HookRefused(
            f"{hook} is a symbolic link, so something else manages it. Remove the link, or use that"
            " forge's own webhooks."
        )
    earlier = repo / "hooks" / "post-receive.d" / EARLIER_HOOK
    if hook.exists() and not _is_ours(hook) and earlier.exists():
        raise HookRefused(
            f"{hook} is not ours, and {earlier} is taken already. Rename that one, so that the"
            " present hook can move there."
        )
    return repo / "hooks"


def _make_room(hooks: Path) -> None:
    hook = hooks / "post-receive"
    if hook.exists() and not _is_ours(hook):
        (hooks / "post-receive.d").mkdir(exist_ok=True)
        # A rename: contents, owner and mode stay, and one that was switched off stays so.
        hook.rename(hooks / "post-receive.d" / EARLIER_HOOK)


def _is_ours(hook: Path) -> bool:
    return MARK in hook.read_text(errors="replace")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = None
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise HookRefused(f"{url!r} cannot be called; it must be http(s)://host/hooks/…")
    return parts


def _settings(repo: Path, url: SplitResult, secret: str, name: str) -> dict[str, str | int | bool]:
    if not secret:
        raise HookRefused("without a secret nothing could be verified; give the connection's")
    tls = url.scheme == "https"
    return {
        "repo": str(repo),
        "name": name,
        "key": standard_key(secret).hex(),
        "tls": tls,
        "address": url.hostname or "",
        "port": url.port or (443 if tls else 80),
        "host": url.netloc.rpartition("@")[2],
        "path": (url.path or "/") + (f"?{url.query}" if url.query else ""),
    }


def _write(path: Path, text: str, mode: int, repo: Path) -> None:
    """Replace the file at once, for the repository's owner: that is who runs the hook."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
        owner = repo.stat()
        if os.geteuid() == 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    part.rename(path)
