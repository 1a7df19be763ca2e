"""The post-receive hook itself, as `hook.py` copies it into a bare repository. Stands alone.

A push is written to a spool beside the hook, fsynced, and delivered by a process in the
background: it can neither hold nor fail the push, and nothing is lost while Staunch is down.
What is in the spool is tried until ten minutes after the newest push, and again at the next push.
Only the standard library of Python 3.9, and what is slow to import only in the background: the
pusher waits for the top of this file.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TRY_FOR_S = 600.0
WAIT_S_FIRST = 0.5
WAIT_S_MAX = 5.0
SOCKET_TIMEOUT_S = 10.0
GIT_TIMEOUT_S = 20.0
DESCRIBED_MAX = 20
MESSAGE_CHARS_MAX = 4000
ANSWER_BYTES_MAX = 4096


def main() -> int:
    """One push: spool it, have it delivered, then run the hooks that were here before us."""
    hooks = os.path.dirname(os.path.abspath(__file__))
    lines = sys.stdin.buffer.read()
    try:
        spool = os.path.join(hooks, "staunch-spool")
        write_push(spool, lines)
        deliver_in_background(spool, os.path.join(hooks, "staunch.json"))
    except OSError as error:
        # The push has happened and is fine; only the pusher can be told.
        sys.stderr.write(f"staunch: this push could not be announced: {error}\n")
    return run_others(os.path.join(hooks, "post-receive.d"), lines)


def run_others(folder: str, lines: bytes) -> int:
    """The earlier hooks: same input, same environment, in the order of their names."""
    if not os.path.isdir(folder):
        return 0
    import subprocess

    status = 0
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            done = subprocess.run([path], input=lines, check=False)  # noqa: S603  (the owner's)
            status = done.returncode or status
    return status


def write_push(spool: str, lines: bytes) -> None:
    """Durable before it returns: the pusher's name in a line, then the lines of the push.

    The file's name is the order of delivery, and the delivery's id.
    """
    os.makedirs(spool, mode=0o700, exist_ok=True)
    push = os.environ.get("REMOTE_USER", "").encode("utf-8", "replace") + b"\n" + lines
    name = f"push_{time.time_ns():020d}_{os.urandom(8).hex()}"
    part = os.path.join(spool, f".{name}")
    with open(part, "wb") as file:
        file.write(push)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, os.path.join(spool, name))
    folder = os.open(spool, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def deliver_in_background(spool: str, settings_path: str) -> None:
    """Deliver in a process that git does not wait for: no parent, no session, no pipes."""
    if os.fork():
        os.wait()
        return
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            # Whatever else was inherited, too: a pipe kept open would hold the push.
            os.closerange(3, 256)
            deliver(spool, settings_path)
    finally:
        os._exit(0)


def deliver(spool: str, settings_path: str) -> None:
    """Post what is in the spool, oldest first, until it is empty or the time is over."""
    import fcntl

    wait = WAIT_S_FIRST
    while True:
        with open(os.path.join(spool, ".lock"), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Its holder looks into the spool again after it has let go of the lock.
                return
            emptied = post_all(spool, settings_path)
        names = pushes(spool)
        if not names:
            return
        if emptied:
            wait = WAIT_S_FIRST
            continue
        if time.time() > pushed_at(names[-1]) + TRY_FOR_S:
            return
        time.sleep(wait)
        wait = min(WAIT_S_MAX, wait * 2)


def post_all(spool: str, settings_path: str) -> bool:
    """Whether all pushes that were there are gone: taken, or moved aside as refused for good."""
    import json

    with open(settings_path, encoding="utf-8") as file:
        settings = json.load(file)
    for name in pushes(spool):
        path = os.path.join(spool, name)
        with open(path, "rb") as file:
            push = file.read().decode("utf-8", "replace")
        code, said = post(settings, name, body_of(settings, push))
        if 200 <= code < 300:
            os.unlink(path)
        elif code in (400, 413):
            os.rename(path, os.path.join(spool, f"refused_{name}"))
            write_note(spool, f"{name} was refused with {code}: {said}")
        else:
            # 401 and 404 as well: the settings are to be corrected, and the push is kept.
            write_note(spool, f"{name} waits; the last answer was {code}: {said}")
            return False
    return True


def pushes(spool: str) -> "list[str]":
    """What waits in the spool, oldest first."""
    return sorted(name for name in os.listdir(spool) if name.startswith("push_"))


def pushed_at(name: str) -> float:
    """The time in a spooled push's name."""
    return int(name.split("_")[1]) / 1e9


def write_note(spool: str, text: str) -> None:
    """Leave the newest trouble where an operator finds it."""
    with open(os.path.join(spool, "last-error"), "w", encoding="utf-8", errors="replace") as file:
        file.write(text + "\n")


def body_of(settings: "dict[str, Any]", push: str) -> bytes:
    """The payload, as `parse.py` reads it."""
    import json
    import pwd

    pusher, _, lines = push.partition("\n")
    changes = []
    for line in filter(None, lines.split("\n")):
        old, new, ref = line.split(" ", 2)
        changes.append({"old": old, "new": new, "ref": ref})
    for change in changes[:DESCRIBED_MAX]:
        describe(settings["repo"], change)
    payload = {
        "repo": settings["repo"],
        "name": settings["name"],
        "pusher": pusher or pwd.getpwuid(os.getuid()).pw_name,
        "changes": changes,
    }
    return json.dumps(payload).encode()


def describe(repo: str, change: "dict[str, Any]") -> None:
    """Add what only git knows: the commit under a tag, its message, whether it was forced."""
    if not change["new"].strip("0"):
        return
    status, text = git(repo, "log", "-1", "--format=%H%n%B", change["new"])
    if status == 0 and text:
        change["commit"], _, message = text.partition("\n")
        change["message"] = message.strip()[:MESSAGE_CHARS_MAX]
    if change["ref"].startswith("refs/heads/") and change["old"].strip("0"):
        status, _ = git(repo, "merge-base", "--is-ancestor", change["old"], change["new"])
        change["forced"] = status == 1


def git(repo: str, *arguments: str) -> "tuple[int, str]":
    """Ask the repository; (-1, "") where git cannot answer."""
    import subprocess

    # Git exported these for the repository and the moment of the push; here they only mislead.
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", f"--git-dir={repo}", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  (a list, no shell; ids come from git itself)
            command, env=env, capture_output=True, timeout=GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return -1, ""
    return done.returncode, done.stdout.decode("utf-8", "replace")


def post(settings: "dict[str, Any]", message_id: str, body: bytes) -> "tuple[int, str]":
    """One signed HTTP call: the answer's code and body; (0, reason) where there was no answer."""
    import base64
    import hmac

    stamp = str(int(time.time()))
    content = f"{message_id}.{stamp}.".encode() + body
    digest = hmac.digest(bytes.fromhex(settings["key"]), content, "sha256")
    head = "\r\n".join(
        (
            f"POST {settings['path']} HTTP/1.1",
            f"Host: {settings['host']}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"webhook-id: {message_id}",
            f"webhook-timestamp: {stamp}",
            f"webhook-signature: v1,{base64.b64encode(digest).decode()}",
            "User-Agent: staunch-post-receive",
            "Connection: close",
            "\r\n",
        )
    )
    try:
        answer = exchange(settings, head.encode() + body)
    except OSError as error:
        return 0, str(error)
    words = answer.partition(b"\r\n")[0].split(b" ", 2)
    code = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return code, answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")


def exchange(settings: "dict[str, Any]", request: bytes) -> bytes:
    """Send the request; the answer up to the end of its headers, and what came along with them."""
    import socket

    address = (settings["address"], settings["port"])
    with socket.create_connection(address, SOCKET_TIMEOUT_S) as plain:
        link = plain
        if settings["tls"]:
            import ssl

            context = ssl.create_default_context()
            link = context.wrap_socket(plain, server_hostname=settings["address"])
        link.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < ANSWER_BYTES_MAX:
            chunk = link.recv(ANSWER_BYTES_MAX)
            if not chunk:
                break
            answer += chunk
    return answer


if __name__ == "__main__":
    sys.exit(main())
