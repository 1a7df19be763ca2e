"""What forges say of pull requests, asked through their APIs: only their answer makes a member."""

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind, Repo
from pipelines.trust import Author, PullFacts
from tests.published.checked import transport_of
from webhooks.forge import Later, Refused
from webhooks.github.app import AppTokens
from webhooks.inquiry import Inquiry
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

HEAD = "a" * 40
BASE_URL = "https://forge.example"
REPO = Repo(
    id="c/1", connection="c", external_id="1", name="acme/shop", clone_url="https://forge.example/x"
)
UUIDS = {n: f"{n}{n}{n}{n}{n}{n}{n}{n}-0b52-4f6e-9a41-5c2d7e90f1b3" for n in (1, 2, 5, 9)}
CLOUD_REPO = Repo(
    id=f"c/{UUIDS[1]}",
    connection="c",
    external_id=UUIDS[1],
    name=REPO.name,
    clone_url=REPO.clone_url,
)
CLOUD = f"/2.0/repositories/acme/{{{UUIDS[1]}}}"
CLOUD_PERMISSIONS = f"/2.0/workspaces/acme/permissions/repositories/{{{UUIDS[1]}}}"
SERVER = "/rest/api/latest/projects/acme/repos/shop"
GITHUB = {
    "/repos/acme/shop/pulls/7": {
        "state": "open",
        "user": {"login": "sam"},
        "author_association": "CONTRIBUTOR",
        "head": {"ref": "x", "sha": HEAD, "repo": {"id": 2}},
        "base": {"ref": "main", "sha": "b" * 40, "repo": {"id": 1}},
    },
    "/repos/acme/shop/collaborators/sam/permission": {"permission": "read"},
}
GITEA = {
    "/api/v1/repos/acme/shop/pulls/7": {
        "state": "open",
        "user": {"login": "sam"},
        "head": {"ref": "x", "sha": HEAD, "repo_id": 2, "repo": {"id": 2}},
        "base": {"ref": "main", "sha": "b" * 40, "repo_id": 1, "repo": {"id": 1}},
    },
    "/api/v1/repos/acme/shop/collaborators/sam/permission": {"permission": "read"},
    "/api/v1/repos/acme/shop/issues": [{"pull_request": {"merged": True}}],
}
GITLAB = {
    "/api/v4/projects/1/merge_requests/7": {
        "state": "opened",
        "author": {"id": 5, "username": "sam"},
        "source_project_id": 2,
        "target_project_id": 1,
        "target_branch": "main",
        "source_branch": "x",
        "sha": HEAD,
        "first_contribution": False,
    },
    "/api/v4/projects/1/members/all/5": {"access_level": 20, "state": "active"},
}


def may(permission):
    """Bitbucket Cloud's answer that sam has this permission."""
    about = {"user": {"uuid": f"{{{UUIDS[5]}}}"}, "repository": {"uuid": f"{{{UUIDS[1]}}}"}}
    return {"values": [{"permission": permission, **about}]}


BITBUCKET = {
    f"{CLOUD}/pullrequests/7": {
        "state": "OPEN",
        "author": {"uuid": f"{{{UUIDS[5]}}}", "nickname": "sam"},
        "source": {
            "branch": {"name": "x"},
            "commit": {"hash": HEAD[:12]},
            "repository": {"uuid": f"{{{UUIDS[2]}}}"},
        },
        "destination": {
            "branch": {"name": "main"},
            "repository": {"uuid": f"{{{UUIDS[1]}}}"},
        },
    },
    f"{CLOUD}/pullrequests/7/commits": {"values": [{"hash": HEAD}]},
    CLOUD_PERMISSIONS: may("read"),
    f"{CLOUD}/pullrequests": {"values": [{"id": 1}]},
}
SAM = {"id": 5, "name": "sam", "slug": "sam"}
BITBUCKET_DC = {
    f"{SERVER}/pull-requests/7": {
        "state": "OPEN",
        "author": {"user": SAM},
        "fromRef": {"id": "refs/heads/x", "latestCommit": HEAD, "repository": {"id": 2}},
        "toRef": {"id": "refs/heads/main", "latestCommit": "b" * 40, "repository": {"id": 1}},
    },
    "/rest/api/latest/users": {"values": [{"id": 6, "name": "samuel"}]},
    f"{SERVER}/pull-requests": {"values": [{"id": 1}]},
}
PULL = {
    ForgeKind.BITBUCKET: f"{CLOUD}/pullrequests/7",
    ForgeKind.BITBUCKET_DC: f"{SERVER}/pull-requests/7",
    ForgeKind.GITHUB: "/repos/acme/shop/pulls/7",
    ForgeKind.GITEA: "/api/v1/repos/acme/shop/pulls/7",
    ForgeKind.GITLAB: "/api/v4/projects/1/merge_requests/7",
}
ANSWERS = {
    ForgeKind.GITHUB: GITHUB,
    ForgeKind.GITEA: GITEA,
    ForgeKind.GITLAB: GITLAB,
    ForgeKind.BITBUCKET: BITBUCKET,
    ForgeKind.BITBUCKET_DC: BITBUCKET_DC,
}
TOKENS = {
    ForgeKind.BITBUCKET: ("authorization", "Bearer t"),
    ForgeKind.BITBUCKET_DC: ("authorization", "Bearer t"),
    ForgeKind.GITHUB: ("authorization", "Bearer t"),
    ForgeKind.GITEA: ("authorization", "token t"),
    ForgeKind.GITLAB: ("private-token", "t"),
}
KINDS = sorted(ANSWERS)


async def asked(kind, changes=None, *, token="t", api_url=BASE_URL):
    """The facts where the forge answers these paths; a number is an error's code."""
    answers = {**ANSWERS[kind], **(changes or {})}
    requests = []

    def forge(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        name, value = TOKENS[kind]
        if request.headers.get(name) != value:
            return httpx2.Response(401, json={"message": "who?"})
        answer = answers.get(request.url.path, 404)
        if isinstance(answer, httpx2.Response):
            return answer
        if isinstance(answer, int):
            return httpx2.Response(answer, json={"message": "no"})
        return httpx2.Response(200, json=answer)

    connection = Connection(id="c", kind=kind, api_url=api_url, token=token)
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        apps = AppTokens(client, lambda: 1.0)
        inquiry = Inquiry(MemoryConnections(connection), client, apps, now=lambda: 1.0)
        return await inquiry.facts(repo_of(kind), 7), requests


def repo_of(kind):
    """The repository, as it is registered for a forge of that kind."""
    return CLOUD_REPO if kind is ForgeKind.BITBUCKET else REPO


def id_of(kind, number):
    """What the forge calls a repository by."""
    return UUIDS[number] if kind is ForgeKind.BITBUCKET else str(number)


def changed(kind, **fields):
    """The answer about the pull request, with other fields."""
    return {PULL[kind]: {**ANSWERS[kind][PULL[kind]], **fields}}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_strangers_pull_request_is_described_by_the_answers_alone(kind):
    facts, _ = await asked(kind)
    assert facts == PullFacts(
        head_repo=id_of(kind, 2),
        base_repo=id_of(kind, 1),
        base_ref="main",
        head_commit=HEAD,
        author=Author.STRANGER,
        login="sam",
        head_ref="x",
        is_open=True,
    )


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *[
            (
                ForgeKind.GITHUB,
                {"/repos/acme/shop/collaborators/sam/permission": {"permission": one}},
            )
            for one in ("admin", "write", "maintain")
        ],
        *[
            (
                ForgeKind.GITEA,
                {"/api/v1/repos/acme/shop/collaborators/sam/permission": {"permission": one}},
            )
            for one in ("owner", "admin", "write")
        ],
        *[
            (ForgeKind.GITLAB, {"/api/v4/projects/1/members/all/5": {"access_level": one}})
            for one in (30, 40, 50)
        ],
        *[(ForgeKind.BITBUCKET, {CLOUD_PERMISSIONS: may(one)}) for one in ("write", "admin")],
        (
            # The workspace is not told to this token; what somebody was given by name is.
            ForgeKind.BITBUCKET,
            {
                CLOUD_PERMISSIONS: 403,
                f"{CLOUD}/permissions-config/users/{{{UUIDS[5]}}}": may("write")["values"][0],
            },
        ),
        (ForgeKind.BITBUCKET_DC, {"/rest/api/latest/users": {"values": [SAM]}}),
    ],
)
async def test_who_may_write_is_a_member(kind, answer):
    facts, _ = await asked(kind, answer)
    assert facts.author is Author.MEMBER


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (ForgeKind.GITHUB, changed(ForgeKind.GITHUB, author_association="FIRST_TIME_CONTRIBUTOR")),
        (ForgeKind.GITHUB, changed(ForgeKind.GITHUB, author_association="NONE")),
        (ForgeKind.GITHUB, changed(ForgeKind.GITHUB, user=None)),
        (ForgeKind.GITEA, {"/api/v1/repos/acme/shop/issues": []}),
        (ForgeKind.GITEA, {"/api/v1/repos/acme/shop/issues": 403}),
        (
            ForgeKind.GITEA,
            {"/api/v1/repos/acme/shop/issues": [{"pull_request": {"merged": False}}]},
        ),
        (ForgeKind.GITLAB, changed(ForgeKind.GITLAB, first_contribution=True)),
        (ForgeKind.GITLAB, changed(ForgeKind.GITLAB, author=None)),
        (ForgeKind.BITBUCKET, {f"{CLOUD}/pullrequests": {"values": []}}),
        (ForgeKind.BITBUCKET, {f"{CLOUD}/pullrequests": 403}),
        (ForgeKind.BITBUCKET, changed(ForgeKind.BITBUCKET, author=None)),
        (ForgeKind.BITBUCKET, changed(ForgeKind.BITBUCKET, author={"uuid": 'x" OR "'})),
        (ForgeKind.BITBUCKET_DC, {f"{SERVER}/pull-requests": {"values": []}}),
        (ForgeKind.BITBUCKET_DC, changed(ForgeKind.BITBUCKET_DC, author=None)),
    ],
)
async def test_of_whom_nothing_was_taken_yet_is_a_newcomer(kind, answer):
    facts, _ = await asked(kind, answer)
    assert facts.author is Author.NEWCOMER


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (ForgeKind.GITHUB, {"/repos/acme/shop/collaborators/sam/permission": 403}),
        (ForgeKind.GITHUB, {"/repos/acme/shop/collaborators/sam/permission": {}}),
        (ForgeKind.GITEA, {"/api/v1/repos/acme/shop/collaborators/sam/permission": 404}),
        (ForgeKind.GITLAB, {"/api/v4/projects/1/members/all/5": 404}),
        (
            ForgeKind.GITLAB,
            {"/api/v4/projects/1/members/all/5": {"access_level": 50, "state": "awaiting"}},
        ),
        (ForgeKind.BITBUCKET, {CLOUD_PERMISSIONS: 403}),
        (ForgeKind.BITBUCKET, {CLOUD_PERMISSIONS: {"values": []}}),
        (
            ForgeKind.BITBUCKET,
            {CLOUD_PERMISSIONS: {"values": [{**may("admin")["values"][0], "user": None}]}},
        ),
        (ForgeKind.BITBUCKET_DC, {"/rest/api/latest/users": 403}),
        (ForgeKind.BITBUCKET_DC, {"/rest/api/latest/users": {"values": [{**SAM, "id": 9}]}}),
    ],
)
async def test_where_the_forge_does_not_say_that_somebody_may_write_they_may_not(kind, answer):
    facts, _ = await asked(kind, answer)
    assert facts.author is Author.STRANGER


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ForgeKind.GITHUB, {"head": {"ref": "x", "sha": HEAD, "repo": None}}),
        (ForgeKind.GITEA, {"head": {"ref": "x", "sha": HEAD, "repo_id": 0, "repo": None}}),
        (ForgeKind.GITLAB, {"source_project_id": None}),
        (
            ForgeKind.BITBUCKET,
            {"source": {"branch": {"name": "x"}, "commit": {"hash": HEAD}, "repository": None}},
        ),
        (ForgeKind.BITBUCKET_DC, {"fromRef": {"id": "refs/heads/x", "latestCommit": HEAD}}),
    ],
)
async def test_a_fork_that_was_deleted_has_no_repository(kind, fields):
    facts, _ = await asked(kind, changed(kind, **fields))
    assert facts.head_repo is None
    assert facts.author is not Author.MEMBER


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_belongs_to_another_repository_by_now_tells_nothing(kind):
    base = {"base": {"ref": "main", "sha": HEAD, "repo_id": 9, "repo": {"id": 9}}}
    cloud = {"branch": {"name": "main"}, "repository": {"uuid": f"{{{UUIDS[9]}}}"}}
    server = {"id": "refs/heads/main", "latestCommit": HEAD, "repository": {"id": 9}}
    other = {
        ForgeKind.GITLAB: {"target_project_id": 9},
        ForgeKind.BITBUCKET: {"destination": cloud},
        ForgeKind.BITBUCKET_DC: {"toRef": server},
    }
    told, _ = await asked(kind, changed(kind, **other.get(kind, base)))
    assert told == Refused(
        f"acme/shop is repository {id_of(kind, 9)} of the forge by now, and not {id_of(kind, 1)},"
        " which is registered; register it with its new name"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_a_forge_that_is_away_is_asked_again(kind, code):
    told, _ = await asked(kind, {PULL[kind]: code})
    assert isinstance(told, Later)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [401, 403, 404, httpx2.Response(200, text="[]"), {"x": 1}])
async def test_what_is_refused_or_not_as_documented_tells_nothing(kind, answer):
    told, _ = await asked(kind, {PULL[kind]: answer})
    assert isinstance(told, Refused)


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_token_or_an_address_nobody_is_asked(kind):
    assert await asked(kind, token="") == (None, [])
    assert await asked(kind, api_url="") == (None, [])


@pytest.mark.parametrize("kind", [ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DC])
async def test_a_branch_of_the_repository_itself_is_a_members_and_nobody_else_is_asked(kind):
    cloud = {**BITBUCKET[PULL[ForgeKind.BITBUCKET]]["source"]}
    cloud["repository"] = {"uuid": f"{{{UUIDS[1]}}}"}
    server = {"id": "refs/heads/x", "latestCommit": HEAD, "repository": {"id": 1}}
    own = {"source": cloud} if kind is ForgeKind.BITBUCKET else {"fromRef": server}
    facts, requests = await asked(kind, changed(kind, **own))
    assert (facts.author, facts.head_repo) == (Author.MEMBER, facts.base_repo)
    assert not [one for one in requests if "permission" in str(one.url)]


async def test_a_commit_that_bitbucket_cuts_is_told_in_full_or_nobody_knows_it():
    commits = f"{CLOUD}/pullrequests/7/commits"
    for hashes in ([HEAD], ["c" * 40, HEAD], [HEAD[:12], HEAD, HEAD]):
        told = {"values": [{"hash": one} for one in hashes]}
        facts, _ = await asked(ForgeKind.BITBUCKET, {commits: told})
        assert facts.head_commit == HEAD
    # Somebody has pushed between the two answers; or two begin so.
    for hashes in ([], ["c" * 40], [HEAD, HEAD[:39] + "b"]):
        told = {"values": [{"hash": one} for one in hashes]}
        facts, _ = await asked(ForgeKind.BITBUCKET, {commits: told})
        assert isinstance(facts, Refused)
    facts, _ = await asked(ForgeKind.BITBUCKET, {commits: 502})
    assert isinstance(facts, Later)


async def test_a_login_is_quoted_where_it_is_put_into_an_address():
    hostile = changed(ForgeKind.GITHUB, user={"login": "../../admin?x=#"})
    _, requests = await asked(ForgeKind.GITHUB, hostile)
    assert requests[-1].url.raw_path.startswith(
        b"/repos/acme/shop/collaborators/..%2F..%2Fadmin%3F"
    )


async def test_a_redirect_after_a_rename_is_followed_and_one_to_another_host_is_not():
    path = PULL[ForgeKind.GITHUB]
    moved = httpx2.Response(301, headers={"location": f"{BASE_URL}/repositories/1/pulls/7"})
    facts, _ = await asked(ForgeKind.GITHUB, {path: moved, "/repositories/1/pulls/7": GITHUB[path]})
    assert isinstance(facts, PullFacts)
    away = httpx2.Response(301, headers={"location": "https://elsewhere.example/"})
    told, requests = await asked(ForgeKind.GITHUB, {path: away})
    assert isinstance(told, Refused)
    assert len(requests) == 1
    circle = httpx2.Response(301, headers={"location": f"{BASE_URL}{path}"})
    told, requests = await asked(ForgeKind.GITHUB, {path: circle})
    assert told == Refused(f"{BASE_URL}{path} leads in a circle")
    assert len(requests) == 4
