"""Who may command in comments: whoever the forge's API says may write, and nobody else."""

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind
from tests.published.checked import transport_of
from tests.unit.webhooks.test_pulls import BASE_URL, KINDS, TOKENS, UUIDS, may, repo_of
from webhooks.forge import Later, Refused
from webhooks.github.app import AppTokens
from webhooks.inquiry import Inquiry
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

GITHUB, GITEA, GITLAB = ForgeKind.GITHUB, ForgeKind.GITEA, ForgeKind.GITLAB
CLOUD, SERVER = ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DC
MEMBER = "/api/v4/projects/1/members/all/5"
USERS = "/api/v4/users?username=sam"
# There an account is known by its UUID, and in addresses by its slug.
LOGIN = {CLOUD: UUIDS[5], SERVER: "sam_acme"}
ACCOUNT = {"id": 5, "name": "sam@acme", "slug": "sam_acme"}
PLACES = f"/2.0/repositories/acme/%7B{UUIDS[1]}%7D/permissions-config/users/%7B{UUIDS[5]}%7D"
WRITERS = (
    "/rest/api/latest/users?filter=sam%40acme&permission=LICENSED_USER&permission.1=REPO_WRITE"
    "&permission.1.repositoryId=1&limit=1000"
)
PERMISSION = {
    CLOUD: f"/2.0/workspaces/acme/permissions/repositories/%7B{UUIDS[1]}%7D"
    f"?q=user.uuid%3D%22%7B{UUIDS[5]}%7D%22",
    SERVER: "/rest/api/latest/users/sam_acme",
    GITHUB: "/repos/acme/shop/collaborators/sam/permission",
    GITEA: "/api/v1/repos/acme/shop/collaborators/sam/permission",
}
SAM = [{"id": 5, "username": "Sam", "state": "active"}]


async def may_write(kind, answers, login="", *, token="t"):
    """What the forge's answers come to; a number is an error's code. And what was asked."""
    asked = []

    def forge(request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        asked.append(path)
        name, value = TOKENS[kind]
        if request.headers.get(name) != value:
            return httpx2.Response(401, json={"message": "who?"})
        answer = answers.get(path, 404)
        if isinstance(answer, int):
            return httpx2.Response(answer, json={"message": "no"})
        return httpx2.Response(200, json=answer)

    connection = Connection(id="c", kind=kind, api_url=BASE_URL, token=token)
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        apps = AppTokens(client, lambda: 1.0)
        inquiry = Inquiry(MemoryConnections(connection), client, apps, now=lambda: 1.0)
        return await inquiry.may_write(repo_of(kind), login or LOGIN.get(kind, "sam")), asked


def said(kind, word):
    """The forge's answer that sam may do so much."""
    if kind is CLOUD:
        return {PERMISSION[kind]: may(word)}
    if kind is SERVER:
        return {PERMISSION[kind]: ACCOUNT, WRITERS: {"values": word}}
    if kind is not GITLAB:
        return {PERMISSION[kind]: {"permission": word}}
    return {USERS: SAM, MEMBER: {"access_level": word, "state": "active"}}


@pytest.mark.parametrize(
    ("kind", "word", "may"),
    [
        *[(GITHUB, one, True) for one in ("admin", "maintain", "write")],
        *[(GITHUB, one, False) for one in ("triage", "read", "none", "", "Write")],
        *[(GITEA, one, True) for one in ("owner", "admin", "write")],
        *[(GITEA, one, False) for one in ("read", "none", "")],
        *[(GITLAB, one, True) for one in (30, 40, 50)],
        *[(GITLAB, one, False) for one in (0, 5, 10, 15, 20)],
        *[(CLOUD, one, True) for one in ("admin", "write")],
        *[(CLOUD, one, False) for one in ("read", "none", "", "Write")],
        (SERVER, [{"id": 4, "name": "sam@acme.example"}, ACCOUNT], True),
        # Whose name only contains it, and who has taken it over since.
        (SERVER, [{"id": 4, "name": "sam@acme.example"}], False),
        (SERVER, [{"id": 6, "name": "sam@acme"}], False),
        (SERVER, [], False),
    ],
)
async def test_the_forge_says_who_may_write(kind, word, may):
    assert (await may_write(kind, said(kind, word)))[0] is may


async def test_on_gitlab_nobody_is_a_member_who_is_blocked_unknown_or_not_alone_of_that_name():
    blocked = {USERS: SAM, MEMBER: {"access_level": 50, "state": "awaiting"}}
    for answers in (
        blocked,
        {USERS: []},
        {USERS: SAM},
        {USERS: SAM * 2, **said(GITLAB, 50)} | {USERS: SAM * 2},
        {**said(GITLAB, 50), USERS: [{"id": 5, "username": "sammy"}]},
    ):
        assert (await may_write(GITLAB, answers))[0] is False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [401, 403])
async def test_a_forge_that_does_not_say_makes_nobody_a_writer(kind, code):
    path = USERS if kind is GITLAB else PERMISSION[kind]
    assert isinstance((await may_write(kind, {path: code}))[0], Refused)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_a_forge_that_is_away_is_asked_again(kind, code):
    path = USERS if kind is GITLAB else PERMISSION[kind]
    assert isinstance((await may_write(kind, {path: code}))[0], Later)
    if kind is GITLAB:
        assert isinstance((await may_write(kind, {USERS: SAM, MEMBER: code}))[0], Later)


async def test_on_bitbucket_a_token_of_the_repository_knows_who_was_named_and_of_groups_nothing():
    for word, wanted in (("write", True), ("admin", True)):
        answers = {PERMISSION[CLOUD]: 403, PLACES: may(word)["values"][0]}
        assert (await may_write(CLOUD, answers))[0] is wanted
    for answer in ({"permission": "none"}, {"permission": "read"}, 403, 404):
        told, _ = await may_write(CLOUD, {PERMISSION[CLOUD]: 403, PLACES: answer})
        assert isinstance(told, Refused)
    another = {"permission": "write", "user": {"uuid": UUIDS[9]}}
    assert (await may_write(CLOUD, {PERMISSION[CLOUD]: 403, PLACES: another}))[0] is False
    assert isinstance((await may_write(CLOUD, {PERMISSION[CLOUD]: 403, PLACES: 502}))[0], Later)


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_token_nobody_is_asked(kind):
    assert await may_write(kind, {}, token="") == (None, [])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_login_stays_one_word_of_the_address(kind):
    told, asked = await may_write(kind, {}, "../../user?x=&y#")
    if kind is CLOUD:
        # It is no UUID, and so is not asked about at all.
        assert isinstance(told, Refused) and asked == []
        return
    assert told is False or isinstance(told, Refused)
    (path,) = asked
    assert "..%2F..%2Fuser%3Fx%3D%26y%23" in path
