"""Secrets from the command that sets them to the job that has them, and what is seen of them."""

import base64
import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.e2e.installed import Installed, Registered

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

CANARY = 'canary-6f1d+/"x"-0123456789abcdef'
PLANTED = "planted-5a0c-in-plain-sight"


def given(here: Installed, verb: str, *words: str, value: str, code: int = 0) -> str:
    """What `staunch secret VERB …` says, with this value on its standard input."""
    done = here.installation.command("secret", verb, *words, token=here.people[""], given=value)
    assert done.returncode == code, done.stdout + done.stderr
    assert value not in done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def encrypted(here: Installed, repo: Registered, name: str, value: str) -> None:
    """Have the repository's next commit hold this value, encrypted."""
    key = here.staunch("secret", "public-key", "--repo", repo.name).strip()
    file = repo.work / ".staunch" / "secrets.age"
    said = given(here, "encrypt", name, "-r", key, "--file", str(file), value=value)
    assert said == f"{name} is encrypted in {file}; commit it\n"


def log_of(here: Installed, run: str, job: str = "use") -> str:
    return here.staunch("logs", run, job)


USE = """
await step.job("use", checkout=False, secrets=%s, run='''
printf '%%s' "$KEY" | sha256sum
echo "it is $KEY."
''')
"""


def test_a_job_has_the_value_that_was_set_for_its_repository_and_shows_a_mask(
    here: Installed, repo: Registered
) -> None:
    given(here, "set", "E2E_KEY", "--repo", repo.name, value=CANARY + "\n")
    run = repo.plan(USE % '{"KEY": "E2E_KEY"}')
    assert here.ended(run)["state"] == "succeeded", here.show(run)["error"]
    shown = log_of(here, run)
    digest = subprocess.run(["sha256sum"], input=CANARY.encode(), capture_output=True, check=True)
    assert digest.stdout.split()[0].decode() in shown
    assert "it is ***." in shown


def test_the_most_specific_secret_counts_and_is_rotated_and_removed(
    here: Installed, repo: Registered
) -> None:
    scope = ("--repo", repo.name)
    given(here, "set", "LEVEL", *scope, value="for-everything")
    given(here, "set", "LEVEL", *scope, "--environment", "production", value="for-production")
    given(here, "set", "LEVEL", *scope, "--event", "tag", value="for-tags-only")
    job = "await step.job('{0}', checkout=False, secrets=['LEVEL'], {1} run='''{2}''')"
    show = 'test "$LEVEL" = "$(echo %s | tr _ -)"'
    body = "\n".join(
        (
            job.format("plain", "", show % "for_everything"),
            job.format("prod", "environment='production',", show % "for_production"),
        )
    )
    run = repo.plan(body)
    assert here.ended(run)["state"] == "succeeded", here.show(run)["error"]
    assert "version 2" in given(here, "rotate", "LEVEL", *scope, value="another-value")
    assert "there is no secret" in given(here, "rotate", "NONE", *scope, value=CANARY, code=4)
    listed = json.loads(here.staunch("secret", "list", "--json"))
    ours = [one for one in listed if one["name"] == "LEVEL" and one["repo"] == repo.name]
    assert sorted(one["version"] for one in ours) == [1, 1, 2]
    assert not [one for one in listed if "value" in one or "sealed" in one]
    here.staunch("secret", "remove", "LEVEL", *scope)
    here.staunch("secret", "remove", "LEVEL", *scope, code=4)


def test_a_job_whose_secret_is_not_there_for_it_is_refused_with_what_to_do(
    here: Installed, repo: Registered
) -> None:
    given(here, "set", "TAGGED", "--repo", repo.name, "--event", "tag", value="only-for-tags")
    shown = here.ended(repo.plan(USE % '{"KEY": "TAGGED"}'))
    assert shown["state"] == "failed"
    message = shown["error"]["message"]
    assert "secret TAGGED is not set for this job" in message
    assert f"staunch secret set TAGGED --repo {repo.name}" in message


def test_a_job_has_what_its_repositorys_own_file_holds_also_after_the_death_of_everything(
    here: Installed, repo: Registered
) -> None:
    scope = ("--repo", repo.name)
    encrypted(here, repo, "E2E_SEALED", CANARY + "\n")
    run = repo.plan(USE % '{"KEY": "E2E_SEALED"}')
    assert here.ended(run)["state"] == "succeeded", here.show(run)["error"]
    assert "it is ***." in log_of(here, run)
    old = here.staunch("secret", "public-key", *scope).strip()
    new = here.staunch("secret", "rotate-public-key", *scope).strip()
    here.staunch("secret", "rotate-key")
    here.installation.kill()
    here.installation.start()
    told = json.loads(here.staunch("secret", "public-key", *scope, "--json"))
    assert told == {"recipient": new, "older": [old]}
    run = repo.plan(USE % '{"KEY": "E2E_SEALED"}' + "\n# again")
    assert here.ended(run)["state"] == "succeeded", here.show(run)["error"]
    assert "1 older public keys" in here.staunch("secret", "drop-public-keys", *scope)
    shown = here.ended(repo.plan(USE % '{"KEY": "E2E_SEALED"}' + "\n# once more"))
    assert f"another public key than this repository has here ({new})" in shown["error"]["message"]
    assert (
        here.call("POST", "/secrets/public-key/rotate", {"repo": repo.name}, who="mallory").status
        == 403
    )
    assert here.call("PUT", "/secrets/public-key", {"repo": "no/such"}).status == 404
    assert not [one for one in here.get("/secrets")["secrets"] if "age" in one["name"]]


def test_a_file_that_was_copied_from_another_repository_opens_nothing(
    here: Installed, repo: Registered
) -> None:
    other = here.repo(f"{repo.connection}-other")
    encrypted(here, other, "E2E_SEALED", CANARY)
    copied = (other.work / ".staunch" / "secrets.age").read_text()
    here.staunch("secret", "public-key", "--repo", repo.name)
    repo.write({".staunch/secrets.age": copied})
    shown = here.ended(repo.plan(USE % '{"KEY": "E2E_SEALED"}'))
    assert "is encrypted for another public key" in shown["error"]["message"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("short", "8 bytes"),
        ("with-***-inside", "masked"),
        ("a\0b" * 9, "NUL"),
        ("x" * 65537, "65,"),
    ],
)
def test_a_value_that_cannot_be_kept_is_refused_and_not_shown(
    here: Installed, repo: Registered, value: str, why: str
) -> None:
    assert why in given(here, "set", "ODD", "--repo", repo.name, value=value, code=1)


def test_only_administrators_set_secrets_and_nobody_reads_them(
    here: Installed, repo: Registered
) -> None:
    body = {"name": "MINE", "repo": repo.name, "value": CANARY}
    assert here.call("PUT", "/secrets", body, who="mallory").status == 403
    assert here.call("PUT", "/secrets", {**body, "value": [CANARY]}).status == 422
    assert CANARY not in str(here.call("PUT", "/secrets", {**body, "value": [CANARY]}).body)
    assert here.call("PUT", "/secrets", body).status == 200
    assert here.call("POST", "/secrets/rotate-key", {}, who="mallory").status == 403
    assert CANARY not in json.dumps(here.get("/secrets"))


def test_secrets_survive_the_death_of_everything_and_a_new_key(
    here: Installed, repo: Registered
) -> None:
    given(here, "set", "E2E_KEY", "--repo", repo.name, value=CANARY)
    before = (here.installation.data / "secrets.key").read_text()
    assert "under a new key" in here.staunch("secret", "rotate-key")
    after = here.installation.data / "secrets.key"
    assert after.read_text() != before
    assert after.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(after.read_text())["keys"]) == 1
    here.installation.kill()
    here.installation.start()
    run = repo.plan(USE % '{"KEY": "E2E_KEY"}')
    assert here.ended(run)["state"] == "succeeded", here.show(run)["error"]


def test_host_and_runner_leave_no_memory_on_the_disk_when_they_die(here: Installed) -> None:
    pids = here.installation.pids()
    for name in ("host", "runner"):
        limits = Path(f"/proc/{pids[name]}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), name


LEAKY = """
try:
    await step.job("leak", checkout=False, secrets=["CANARY"], reports={"junit": ["*.xml"]}, run='''
printf '%s\\\\n' "$CANARY" >&2
printf '%s' "$CANARY" | base64
printf '%s' "$CANARY" | od -An -v -tx1 | tr -d ' \\\\n'
printf 'user:%s' "$CANARY" | base64
printf '%s' "$CANARY" | sed 's/"/\\\\\\\\"/g'
printf '%s' "$CANARY" > "$STAUNCH_SUMMARY"
coded=$(printf '%s' "$CANARY" | base64)
printf '{"file": "a.py", "message": "base64: %s"}\\\\n' "$coded" > "$STAUNCH_ANNOTATIONS"
printf '<testsuite><testcase name="t"><failure message="%s"/></testcase></testsuite>' \
    "$(printf '%s' "$CANARY" | sed 's/"/\\\\&quot;/g')" > a.xml
exit 3
''')
except JobFailed:
    pass
try:
    give = 'echo "got=$CANARY" >> $STAUNCH_OUTPUT'
    await step.job("give", checkout=False, secrets=["CANARY"], run=give)
except JobFailed:
    pass
await step.job("plant", checkout=False, run=[
    'echo planted-5a0c-in-plain""-sight',
    'echo "seen=planted-5a0c-in-plain""-sight" >> "$STAUNCH_OUTPUT"',
])
"""


def forms(value: str) -> list[bytes]:
    """A value as it is, and as programs write it; of base64 what three bytes before leave."""
    raw = value.encode()
    return [
        raw,
        raw.hex().encode(),
        base64.b64encode(raw)[:40],
        base64.b64encode(b"user:" + raw)[8:40],
        quote(value, safe="").encode(),
        json.dumps(value)[1:-1].encode(),
        value.replace('"', "&quot;").encode(),
    ]


def everything(here: Installed, run: str) -> Iterator[tuple[str, bytes]]:
    """Every file of the installation, with what its processes wrote, and what the API answers."""
    for path in Path(here.folder).rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                yield str(path), path.read_bytes()
    shown = [
        f"/runs/{run}",
        f"/runs/{run}/history",
        f"/runs/{run}/tests",
        "/secrets",
        "/deliveries",
    ]
    shown += [f"/jobs/{one['job']}/log" for one in here.show(run)["attempts"]]
    for path in shown:
        yield path, here.text(path).encode()
    yield "page", here.page(f"/runs/{run}").encode()


def holders(here: Installed, run: str, looked_for: list[bytes]) -> list[tuple[str, int]]:
    return [
        (where, number)
        for where, content in everything(here, run)
        for number, form in enumerate(looked_for)
        if form in content
    ]


@pytest.mark.parametrize("is_sealed", [False, True], ids=["kept", "in the repository"])
def test_a_canary_is_nowhere_after_a_run_that_shows_it_in_every_way(
    here: Installed, repo: Registered, is_sealed: bool
) -> None:
    if is_sealed:
        encrypted(here, repo, "CANARY", CANARY)
    else:
        given(here, "set", "CANARY", "--repo", repo.name, value=CANARY)
    run = repo.plan(LEAKY)
    shown = here.ended(run)
    assert shown["state"] == "succeeded", shown["error"]
    assert log_of(here, run, "leak").count("***") >= 5
    planted = {where for where, _ in holders(here, run, [PLANTED.encode()])}
    assert any("/nats/" in where for where in planted), planted
    assert any("read-model" in where for where in planted), planted
    assert any(where.startswith("/jobs/") for where in planted), planted
    assert holders(here, run, forms(CANARY)) == []


def test_a_job_has_a_token_that_others_can_check(here: Installed, repo: Registered) -> None:
    body = """
await step.job("who", checkout=False, id_token="sts.example.org", run=[
    'printf "%s" "$STAUNCH_ID_TOKEN" | cut -d. -f2',
    'echo "all of it: $STAUNCH_ID_TOKEN"',
])
"""
    run = repo.plan(body)
    assert here.ended(run)["state"] == "succeeded", here.show(run)["error"]
    shown = log_of(here, run, "who")
    assert "all of it: ***" in shown
    payload = next(line for line in shown.splitlines() if line.startswith("eyJ"))
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert (claims["aud"], claims["run"], claims["repo"]) == ("sts.example.org", run, repo.name)
    found = httpx2.get(f"{here.installation.url}/.well-known/openid-configuration").json()
    assert claims["iss"] == found["issuer"]
    keys = httpx2.get(found["jwks_uri"]).json()["keys"]
    assert [key["alg"] for key in keys] == ["RS256"]
    assert not [key for key in keys if "d" in key]


NAMING = """async def run(event, step):
    await step.job("a", run="b", secrets=["LINTED", "SEALED_ONE", "NOWHERE"])
    await step.job("c", run="d", pool="default")
    await step.job("e", run="f", pool="nobody-serves-it")
"""


def test_lint_asks_for_the_names_that_a_text_alone_cannot_know(here, repo):
    repo.write({".staunch/pipeline.py": NAMING})
    given(here, "set", "LINTED", "--repo", repo.name, value=CANARY)
    encrypted(here, repo, "SEALED_ONE", CANARY)
    done = here.installation.command("lint", str(repo.work), "--ask", "--json")
    found = [(one["line"], one["rule"]) for one in json.loads(done.stdout)["findings"]]
    assert (done.returncode, found) == (1, [(2, "unknown-secret"), (4, "unknown-pool")])
    alone = here.installation.command("lint", str(repo.work))
    assert alone.returncode == 0, alone.stdout
