import base64

import pytest

from ci_host.adapters.git.errors import OriginRefused
from ci_host.adapters.git.origin import Registered, origin_of
from pipelines.repo import Connection, ForgeKind, Repo

CLOUD = "https://bitbucket.org/waterways/lock.git"
CENTER = "https://dc.example:7990/scm/water/lock.git"


def check(kind, url, token, api_url):
    """The header with which git asks for the repository."""
    connection = Connection(id="bb", kind=kind, api_url=api_url, token=token)
    repo = Repo(id="bb/1", connection="bb", external_id="1", name="lock", clone_url=url)
    origin = origin_of(
        repo, Registered(connections={"bb": connection}), lambda host, port: ["104.192.141.1"]
    )
    assert token not in origin.url
    host = url.split("/")[2]
    return origin.config[f"http.https://{host}/.extraHeader"]


@pytest.mark.parametrize(
    ("token", "pair"),
    [
        ("ATCTT3x=", "x-token-auth:ATCTT3x="),
        ("ada:ATATT3x", "ada:ATATT3x"),
        ("ada:with:colons", "ada:with:colons"),
        # The API knows a person by the e-mail address, git does not.
        ("ada@waterways.example:ATATT3x", "x-bitbucket-api-token-auth:ATATT3x"),
    ],
)
def test_each_form_of_a_token_of_cloud_is_what_its_git_takes(token, pair):
    header = check(ForgeKind.BITBUCKET, CLOUD, token, "https://api.bitbucket.org")
    assert header == f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"


def test_a_token_of_data_center_is_a_bearer_to_its_git_too():
    header = check(ForgeKind.BITBUCKET_DC, CENTER, "NDg3x:y", "https://dc.example:7990/bitbucket")
    assert header == "Authorization: Bearer NDg3x:y"


@pytest.mark.parametrize(
    "url", ["https://api.bitbucket.org/waterways/lock.git", "https://bitbucket.org.example/a/b"]
)
def test_cloud_is_cloned_from_its_own_host_and_no_other(url):
    with pytest.raises(OriginRefused):
        check(ForgeKind.BITBUCKET, url, "t", "https://api.bitbucket.org")
