import pytest

from ci_host.web.forge_links import links_of
from ci_host.web.words import ref_name
from pipelines.repo import ForgeKind, Repo

COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"


def check(kind, clone_url):
    repo = Repo(id="b/1", connection="b", external_id="1", name="lock", clone_url=clone_url)
    return links_of(repo, kind, COMMIT)


def test_a_commit_a_line_and_a_pull_request_are_found_on_bitbucket_cloud():
    links = check(ForgeKind.BITBUCKET, "https://bitbucket.org/waterways/lock.git")
    lock = "https://bitbucket.org/waterways/lock"
    assert links.commit() == f"{lock}/commits/{COMMIT}"
    assert links.line("src/a b.c", 7) == f"{lock}/src/{COMMIT}/src/a%20b.c#lines-7"
    assert links.line("src/a.c", None) == f"{lock}/src/{COMMIT}/src/a.c"
    assert links.pull_request(7) == f"{lock}/pull-requests/7"


@pytest.mark.parametrize(
    ("clone", "page"),
    [
        ("scm/water/lock.git", "projects/water/repos/lock"),
        ("scm/~ada/lock.git", "users/ada/repos/lock"),
        ("bitbucket/scm/WATER/scm", "bitbucket/projects/WATER/repos/scm"),
    ],
)
def test_a_repository_of_data_center_is_shown_elsewhere_than_it_is_cloned_from(clone, page):
    links = check(ForgeKind.BITBUCKET_DC, f"https://dc.example:7990/{clone}")
    lock = f"https://dc.example:7990/{page}"
    assert links.commit() == f"{lock}/commits/{COMMIT}"
    assert links.line("src/a.c", 7) == f"{lock}/browse/src/a.c?at={COMMIT}#7"
    assert links.pull_request(7) == f"{lock}/pull-requests/7"


def test_a_pull_requests_ref_is_called_as_people_do():
    assert ref_name("refs/pull-requests/7/from") == "pull-requests/7"
