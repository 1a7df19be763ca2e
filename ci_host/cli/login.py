"""`login`, `logout`, `profiles`: which servers the commands speak to, and as whom."""

import hashlib
import platform
import secrets
import sys
import time
import webbrowser
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from ci_host.cli.client import Client, ClientError
from ci_host.cli.clock import moment
from ci_host.cli.paper import paper
from ci_host.cli.plain import escape
from ci_host.cli.profiles import BadProfiles, Profile, read_profiles, write_profiles
from ci_host.cli.wire import wrong_with

NOT_YET = None
UNKNOWN_KEY, OTHERS_KEY = 401, 409


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(login)
    app.command()(logout)
    app.command()(profiles)


def login(
    server: Annotated[str, typer.Argument(help="The host's URL.")],
    name: Annotated[
        str, typer.Option("--name", help="What it is called here; default: the host's name.")
    ] = "",
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Read a token from standard input.")
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, or only say where it is.")
    ] = True,
) -> None:
    """Log in to a server, in the browser or with a token; other commands then go there."""
    server = server.rstrip("/")
    if wrong := wrong_with(server):
        raise ClientError(f"{server!r} is no URL of a host: {wrong}", 2)
    token = sys.stdin.readline().strip() if with_token else _by_browser(server, opens=browser)
    if not token or not (token.isascii() and token.isprintable()):
        raise ClientError("standard input holds no token of Staunch's", 2)
    who = Client(server, token).get("/whoami")
    name = name or urlsplit(server).netloc
    _, known = _read()
    until = who["expires_at"] or 0.0
    made = Profile(name, server, token, is_given=with_token, expires_at=until)
    write_profiles(name, known | {name: made})
    typer.echo(f"logged in to {server} as {who['name']} ({who['scope']}); it is profile {name}")
    if name in known and known[name].token != token:
        _end_before(known[name])


def _end_before(profile: Profile) -> None:
    """End the key that a profile had until now, and say what became of it."""
    try:
        said = _key_ended(profile)
    except ClientError as error:
        said = f"{error}. An administrator can: staunch token revoke {_key(profile)}"
    typer.echo(f"the profile {profile.name} of before is forgotten; {said}", err=True)


def _by_browser(server: str, *, opens: bool) -> str:
    """Ask to be let in, and wait for somebody's answer. Raises ClientError: no, or too late."""
    verifier = secrets.token_urlsafe(48)
    client = Client(server, "")
    challenge = hashlib.sha256(verifier.encode()).hexdigest()
    asked = client.post("/logins", {"challenge": challenge, "machine": platform.node()[:100]})
    console = paper(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"open {escape(asked['url'])}")
    console.print(f"and compare the code there with [bold]{escape(asked['code'])}[/]")
    if opens:
        webbrowser.open(asked["url"])
    while time.time() < asked["expires_at"]:
        time.sleep(asked["poll_s"])
        told = client.post("/logins/claim", {"code": asked["code"], "verifier": verifier})
        if told["secret"] is not NOT_YET:
            return str(told["secret"])
    raise ClientError("nobody answered within ten minutes: begin again")


def logout(
    name: Annotated[str, typer.Argument(help="Which profile; default: the current one.")] = "",
    forget: Annotated[
        bool, typer.Option("--forget", help="Do not revoke the key, only forget it.")
    ] = False,
) -> None:
    """Forget a server, and revoke the key that `staunch login` was given there in a browser."""
    current, known = _read()
    name = name or current
    if name not in known:
        raise ClientError(f"there is no profile {name!r} (there is: {_names(known)})", 4)
    profile = known.pop(name)
    try:
        said = _key_left(profile) if forget else _key_ended(profile)
    except ClientError as error:
        # Nothing else on this machine could revoke it.
        raise ClientError(
            f"profile {name} is kept: {error}. Run this again when the server is back, or with"
            " --forget, which forgets the key without revoking it",
            error.exit_code,
        ) from error
    write_profiles("" if name == current else current, known)
    typer.echo(f"profile {name} is forgotten; {said}")


def _key(profile: Profile) -> str:
    """What lists call its key."""
    # Only here: no other of these commands has to name a key.
    from ci_host.access import digest_of_secret, id_of_digest

    return id_of_digest(digest_of_secret(profile.token))


def _key_left(profile: Profile) -> str:
    key = _key(profile)
    return (
        f"its key {key} is good {_until(profile)}. An administrator can revoke it: staunch token"
        f" revoke {key}"
    )


def _key_ended(profile: Profile) -> str:
    """Revoke its key, if it is nobody else's; says what became of it.

    Raises ClientError: it is good still, though it should not be.
    """
    if profile.is_given:
        return f"its key {_key(profile)} is good still: it was given with --with-token"
    try:
        Client(profile.server, profile.token).delete("/tokens/me")
    except ClientError as error:
        if error.status == UNKNOWN_KEY:
            return "its key was worthless already"
        if error.status == OTHERS_KEY:
            return f"its key is good still: {error}"
        raise ClientError(
            f"its key {_key(profile)} is good {_until(profile)} and could not be revoked ({error})",
            error.exit_code,
        ) from error
    return "its key is revoked"


def _until(profile: Profile) -> str:
    if not profile.expires_at:
        return "still"
    return f"until {moment(profile.expires_at)}"


def profiles(
    use: Annotated[str, typer.Option("--use", help="Make this one the current one.")] = "",
) -> None:
    """List the servers that you have logged in to; `*` is where commands go."""
    current, known = _read()
    if use:
        if use not in known:
            raise ClientError(f"there is no profile {use!r} (there is: {_names(known)})", 4)
        current = use
        write_profiles(current, known)
    for one in known.values():
        typer.echo(f"{'*' if one.name == current else ' '} {one.name}\t{one.server}")


def _read() -> tuple[str, dict[str, Profile]]:
    try:
        return read_profiles()
    except BadProfiles as error:
        raise ClientError(str(error)) from error


def _names(known: dict[str, Any]) -> str:
    return ", ".join(known) or "none"
