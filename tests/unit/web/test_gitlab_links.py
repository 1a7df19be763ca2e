from ci_host.web.forge_links import links_of
from ci_host.web.words import ref_name
from pipelines.repo import ForgeKind, Repo

COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
LOCK = "https://lab.example/waterways/deep/lock"


def test_a_commit_a_line_and_a_merge_request_are_found_on_gitlab():
    repo = Repo(
        id="lab/62", connection="lab", external_id="62", name="lock", clone_url=f"{LOCK}.git"
    )
    links = links_of(repo, ForgeKind.GITLAB, COMMIT)
    assert links.commit() == f"{LOCK}/-/commit/{COMMIT}"
    assert links.line("src/a.c", 7) == f"{LOCK}/-/blob/{COMMIT}/src/a.c#L7"
    assert links.pull_request(7) == f"{LOCK}/-/merge_requests/7"
    assert ref_name("refs/merge-requests/7/head") == "merge-requests/7"
