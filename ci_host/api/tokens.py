"""Routes of tokens: people's keys, and those of machines, with what each is good for."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from ci_host.access import Level, Token, digest_of_secret, new_secret
from ci_host.api.auth import NOTED, Admin, Here, Person
from ci_host.api.paging import PAGE_MAX, PageSize, Place, moment, page_of
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.starting import find_repo

router = APIRouter(prefix="/api/v1", tags=["tokens"])

DAY_S = 86_400.0
DAYS_MAX = 3_650
REPOS_MAX = 100
TOKENS_SHOWN = 5

log = structlog.get_logger()


class TokenBody(BaseModel):
    """A person's key, or a machine's. `scope`: what it is good for, in `repos` (names or ids; none:
    everywhere). `admin`: the same as the scope admin. `days`: for so long; null: until revoked."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    teams: list[str] = Field(default_factory=list)
    admin: bool = False
    scope: Level = Level.ACT
    repos: list[str] = Field(default=[], max_length=REPOS_MAX)
    days: float | None = Field(default=None, gt=0, le=DAYS_MAX)


@router.get("/whoami", summary="Who I am here")
async def whoami(here: Here, who: Person) -> dict[str, Any]:
    """The name that gates see, and what the token is good for."""
    shown = token_view(who, _names(here))
    wanted = ("name", "teams", "admin", "scope", "repos", "expires_at")
    return {name: shown[name] for name in wanted}


@router.get("/tokens", summary="List tokens")
async def list_tokens(
    here: Here, _who: Admin, after: Place = "", limit: PageSize = PAGE_MAX
) -> dict[str, Any]:
    """By name, also those that are over. No secret is kept, so none is shown. `next` is the
    following page's `after`."""
    names = _names(here)
    page = page_of(here.directory.tokens.values(), _place, after, limit)
    return {"tokens": [token_view(one, names) for one in page.found], "next": page.next}


def _place(token: Token) -> str:
    return f"{token.name} {moment(token.created_at)} {token.id}"


@router.post("/tokens", status_code=201, summary="Make a token for a person")
async def make_token(here: Here, who: Admin, body: TokenBody) -> dict[str, Any]:
    """The secret is answered once and kept nowhere."""
    return await new_token(here, who, body)


async def new_token(here: Services, who: Token, body: TokenBody, form: str = "") -> dict[str, Any]:
    """Make one; `form`: of a form, which makes one only. Raises Problem: it has made one."""
    if form and any(one.form == form for one in here.directory.tokens.values()):
        raise Problem(
            409,
            "This form was sent already",
            "The token that it made was shown once, and none is made by sending it again. Make"
            " another on the page Tokens, and revoke there what you did not keep.",
        )
    secret = new_secret()
    scope = Level.ADMIN if body.admin else body.scope
    token = Token(
        digest=digest_of_secret(secret),
        name=body.name,
        teams=body.teams,
        admin=scope is Level.ADMIN and not body.repos,
        scope=scope,
        repos=sorted({find_repo(here, name).id for name in body.repos}),
        created_at=here.now(),
        expires_at=here.now() + body.days * DAY_S if body.days is not None else 0.0,
        by=who.name,
        form=form,
    )
    # Known before it is kept: the same form may come again meanwhile. Nobody has its secret yet.
    here.directory.tokens[token.digest] = token
    try:
        await here.catalog.put_token(token)
    except BaseException:
        del here.directory.tokens[token.digest]
        raise
    log.info("token_made", token=token.id, name=token.name, by=who.name)
    return {**token_view(token, _names(here)), "secret": secret}


@router.post("/tokens/{token}/revoke", summary="Revoke a token")
async def revoke_token(
    here: Here, who: Admin, token: Annotated[str, Path(max_length=100)]
) -> dict[str, Any]:
    """By its id, or by its name if one token that is good has it, or if logins at a forge have,
    which all end. At once, and for ever, with those of command lines that were let in with it:
    `with` has the ids of what ended besides."""
    all_ = await _all(here)
    found = [one for one in all_ if one.id == token] or [
        one for one in _let_in_by_none(all_) if one.name == token and one.holds(here.now())
    ]
    if not found:
        raise Problem(404, "No such token", f"No token {token!r} is good: `staunch token list`.")
    # Each browser of one person has a login, and no list has their ids.
    if len(found) > 1 and not all(one.connection for one in found):
        ids = ", ".join(one.id for one in found[:TOKENS_SHOWN])
        raise Problem(409, "Which one?", f"{token!r} has several tokens ({ids}): give the id.")
    return await _revoked(here, found, all_, who)


@router.delete("/tokens/me", summary="Revoke the token of a command line that is asking")
async def revoke_mine(here: Here, who: Person, request: Request) -> dict[str, Any]:
    """What `staunch logout` does. Only one that `staunch login` was given in a browser: others may
    use any other, and it is refused with a 409. With it end those that were let in with it."""
    if not who.made_with:
        raise Problem(
            409,
            "Not a command line's",
            f"No `staunch login` was given this token of {who.name} in a browser, and others may"
            f" use it: an administrator revokes it with `staunch token revoke {who.id}`.",
        )
    request.state.on = {"id": who.id}
    setattr(request.state, NOTED, who)
    # What the route found of them is about this request; what is kept is the token as it is.
    mine = here.directory.tokens.get(who.digest, who)
    return await _revoked(here, [mine], await _all(here), who)


async def _all(here: Services) -> list[Token]:
    """Also those of people who logged in at a forge. Raises Unavailable."""
    return [*here.directory.tokens.values(), *await here.sessions.all()]


async def _revoked(
    here: Services, named: Sequence[Token], all_: Sequence[Token], who: Token
) -> dict[str, Any]:
    """Revoke those that were named and those that follow from them. Raises Unavailable."""
    # Those that follow go first: whoever dies in between is asked again, and finds the named.
    others = [*named[1:], *_let_in_with(named, all_)]
    for one in [*reversed(others), named[0]]:
        revoked = msgspec.structs.replace(one, revoked=True)
        if one.connection:
            await here.sessions.put(revoked)
        else:
            await here.catalog.put_token(revoked)
            here.directory.tokens[revoked.digest] = revoked
        log.info("token_revoked", token=revoked.id, name=revoked.name, by=who.name)
    return {**token_view(revoked, _names(here)), "with": [one.id for one in others]}


def _let_in_by_none(tokens: Sequence[Token]) -> list[Token]:
    """Without those of command lines whose own key is among them: they end with that one."""
    ids = {one.id for one in tokens if not one.revoked}
    return [one for one in tokens if one.made_with not in ids]


def _let_in_with(named: Sequence[Token], tokens: Sequence[Token]) -> list[Token]:
    """Those that are good for a command line because one of the named was, or one of these."""
    found, ids = list[Token](), {one.id for one in named}
    while more := [
        one for one in tokens if one.made_with in ids and one.id not in ids and not one.revoked
    ]:
        found += more
        ids |= {one.id for one in more}
    return found


def token_views(here: Services, tokens: Iterable[Token]) -> list[dict[str, Any]]:
    """Each as lists show it."""
    names = _names(here)
    return [token_view(one, names) for one in tokens]


def _names(here: Services) -> dict[str, str]:
    return {repo.id: repo.name for repo in here.directory.repos.values()}


def token_view(token: Token, names: dict[str, str]) -> dict[str, Any]:
    """One token without its secret's digest; `names` are those of Repos, by id."""
    return {
        "id": token.id,
        "name": token.name,
        "teams": token.teams,
        "admin": token.admin,
        "scope": token.level,
        "repos": [names.get(repo) or repo for repo in token.repos],
        "created_at": token.created_at,
        "expires_at": token.expires_at or None,
        "revoked": token.revoked,
        "by": token.by,
    }
