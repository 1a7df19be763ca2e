"""Which registry a name means, and whose credentials are for it."""

import json

import pytest

from runners.registries import BadRegistry, Registry, credentials_of, find, parse

PLAIN = Registry(name="127.0.0.1:5000", host="127.0.0.1", port=5000, is_plain=True)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ghcr.io", "https://ghcr.io/v2"),
        ("https://ghcr.io/", "https://ghcr.io/v2"),
        ("Registry.Example:5000", "https://registry.example:5000/v2"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/v2"),
        ("http://registry.lan", "http://registry.lan/v2"),
        ("[::1]:5000", "https://[::1]:5000/v2"),
        ("docker.io", "https://registry-1.docker.io/v2"),
    ],
)
def test_an_entry_is_a_host_perhaps_with_a_port_and_without_tls(text, url):
    assert parse(text).url == url


@pytest.mark.parametrize(
    "text", ["", "https://", "a b", "host:", "host:0", "host:65536", "host:x", "ftp://host", "a/b"]
)
def test_what_is_no_registry_is_refused_with_what_would_be(text):
    with pytest.raises(BadRegistry, match=r"write a host such as ghcr\.io"):
        parse(text)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("127.0.0.1:5000/team/app", (PLAIN, "team/app")),
        ("docker.io/python", (parse("docker.io"), "library/python")),
        ("docker.io/team/app", (parse("docker.io"), "team/app")),
        ("GHCR.io/team/app", (parse("ghcr.io"), "team/app")),
        ("python", None),
        ("ghcr.io", None),
        ("127.0.0.1/team/app", None),
        ("ghcr.io.evil.example/team/app", None),
    ],
)
def test_a_name_begins_with_a_registry_of_the_list_or_means_none(name, found):
    assert find(name, [PLAIN, parse("docker.io"), parse("ghcr.io")]) == found


@pytest.mark.parametrize(
    ("auths", "given"),
    [
        ({"ghcr.io": {"auth": "YWRhOmg="}}, "ada:h"),
        ({"https://ghcr.io": {"username": "ada", "password": "h"}}, "ada:h"),
        ({"other.example": {"auth": "YWRhOmg="}}, ""),
        ({}, ""),
    ],
)
def test_credentials_are_those_of_this_registry(auths, given):
    assert credentials_of(json.dumps({"auths": auths}).encode(), parse("ghcr.io")) == given
    hub = json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": "YWRhOmg="}}}).encode()
    assert credentials_of(hub, parse("docker.io")) == "ada:h"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"auths": 3}', b'{"auths": {"ghcr.io": {"auth": "%%%"}}}']
)
def test_a_file_of_another_form_is_refused(content):
    with pytest.raises(BadRegistry, match="another form than Docker's"):
        credentials_of(content, parse("ghcr.io"))
