"""Named member: what GitHub and Gitea answer of an account's permission, and what to believe of it.

Both are asked by names: `GET /repos/{owner}/{repo}` and `…/collaborators/{login}/permission`. Names
get new owners, so both answers must be about the ids that we know.
"""

from urllib.parse import quote

import msgspec

from pipelines.repo import Repo
from webhooks.forge import Account, Later, Permission, Refused
from webhooks.rest import ForgeApi
from webhooks.status_api import is_repo_name


class _Repository(msgspec.Struct):
    id: int


class _User(msgspec.Struct):
    id: int


class _Answer(msgspec.Struct):
    permission: str = "none"
    user: _User | None = None


WORDS = {
    "owner": Permission.ADMIN,
    "admin": Permission.ADMIN,
    "maintain": Permission.WRITE,
    "write": Permission.WRITE,
    "triage": Permission.READ,
    "read": Permission.READ,
}


async def permission_by_name(
    api: ForgeApi, repo: Repo, who: Account
) -> Permission | Later | Refused:
    """What somebody may do, if repository and account are still those."""
    if not is_repo_name(repo.name):
        return Refused(f"{repo.name!r} cannot be put into an API URL")
    place = f"/repos/{quote(repo.name)}"
    found = await api.get(place, _Repository)
    if not isinstance(found, _Repository):
        return found
    if str(found.id) != repo.external_id:
        return Refused(f"{repo.name} is repository {found.id} by now, not {repo.external_id}")
    login = quote(who.login, safe="")
    told = await api.get(f"{place}/collaborators/{login}/permission", _Answer)
    if not isinstance(told, _Answer):
        return told
    if told.user is None or str(told.user.id) != who.id:
        return Refused(f"the name {who.login} is another account's by now: log in again")
    return WORDS.get(told.permission, Permission.NONE)
