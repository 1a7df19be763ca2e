"""A registered runner in somebody else's hands gets what its own jobs give it, and nothing else."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pipelines import desk
from pipelines.cache import Entry, Scope
from pipelines.codec import encode_input
from pipelines.desk import EnrolAsked, How, Invitation, Settling, Told, Verb, enrolling
from pipelines.events import JobFinished
from pipelines.job import Lease, LogChunk, Outcome
from pipelines.manifest import PIECES, shelf_of
from pipelines.trust import Tier
from runners.link.admission import Turned, admitted
from runners.membership import NotJoined
from tests.demo.installation import until
from tests.e2e.far import Far
from tests.e2e.hostile import Hostile, member_of
from tests.e2e.installed import Registered
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.xdist_group("other-machine"),
    pytest.mark.slow,
    pytest.mark.nats,
]

OTHERS = "0-0123456789abcdef0123.deploy.1"


@pytest.fixture
async def hostile(far: Far, tmp_path: Path) -> AsyncIterator[Hostile]:
    async with Hostile(tmp_path / "hostile", far.invited("lent")["join"]) as found:
        yield found


READS = {
    "info of a stream": "$JS.API.STREAM.INFO.RUNS_0",
    "names of streams": "$JS.API.STREAM.NAMES",
    "a message of a stream": "$JS.API.STREAM.MSG.GET.SECRETS",
    "a message by subject": "$JS.API.DIRECT.GET.CONFIG.config.token.>",
    "the newest log": f"$JS.API.DIRECT.GET.LOGS.log.{OTHERS}",
    "its own queue's consumer": "$JS.API.CONSUMER.INFO.JOBS.runners-lent",
    "jobs of another pool": "$JS.API.CONSUMER.MSG.NEXT.JOBS.runners-default",
    "the account": "$JS.API.INFO",
    "the server": "$SYS.REQ.SERVER.PING",
}


async def test_the_bus_denies_it_to_read(hostile: Hostile) -> None:
    for what, subject in READS.items():
        assert await hostile.is_denied_to_ask(subject), what


WRITES = {
    "an input of a run": "run.0.0-0123456789abcdef0123.in",
    "a lease": f"lease.{OTHERS}",
    "a log": f"log.{OTHERS}",
    "a cancel": f"cancel.{OTHERS}",
    "a cache": "cache.trusted.a.b.c.d",
    "a setting": "config.token.mallory",
    "a registration": "registration.mallory",
    "a job": "jobs.default",
    "a sign of life": "runner.another",
    "an acknowledgement": "$JS.ACK.JOBS.runners-lent.1.1.1.1.0",
    "a purge": "$JS.API.STREAM.PURGE.JOBS",
    "a stream": "$JS.API.STREAM.DELETE.JOBS",
}


async def test_the_bus_denies_it_to_write(hostile: Hostile) -> None:
    for what, subject in WRITES.items():
        assert await hostile.is_denied_to_ask(subject), what


async def test_it_cannot_make_a_consumer_that_would_read_others_messages(hostile: Hostile) -> None:
    wish = {"stream_name": "JOBS", "config": {"filter_subjects": ["jobs.default"]}}
    for form in ("CREATE.JOBS", "CREATE.JOBS.mine", "DURABLE.CREATE.JOBS.mine"):
        assert await hostile.is_denied_to_ask(f"$JS.API.CONSUMER.{form}", wish), form


async def test_it_cannot_listen_to_what_others_say(hostile: Hostile) -> None:
    for subject in (">", "_INBOX.>", "desk.>", "cancel.>", "log.>", "enrol.*"):
        assert await hostile.is_denied_to_hear(subject), subject


async def test_it_cannot_ask_in_the_name_of_another_runner(hostile: Hostile) -> None:
    assert await hostile.asks_desk(Verb.STAND, desk.StandAsked(), "another") is None
    told = await hostile.asks_desk(Verb.STAND, desk.StandAsked())
    assert told is not None and told.how is How.DONE


def questions_of(job: str, repo: str) -> list[tuple[Verb, msgspec.Struct]]:
    """All that a runner may ask of a job that it holds."""
    scope = Scope(repo=repo, tier=Tier.TRUSTED, ref="refs/heads/main")
    shelf, digest = shelf_of(repo), hashlib.sha256(b"evil").hexdigest()
    entry = msgspec.json.encode(Entry(digest=digest, size=1, files=1, at=0.0, job=job))
    chunk = LogChunk(offset=0, size=4, at=0.0, text="evil")
    subject = f"{scope.subject}.a.b"
    return [
        (Verb.LOG_END, desk.JobAsked(job=job)),
        (Verb.LOG_APPEND, desk.AppendAsked(job=job, chunk=chunk, after=0)),
        (Verb.LOG_END, desk.JobAsked(job=f"{job}.db")),
        (Verb.LOG_APPEND, desk.AppendAsked(job=f"{job}.db", chunk=chunk, after=0)),
        (Verb.CACHE_NEWEST, desk.CacheAsked(job=job, subject=subject)),
        (Verb.CACHE_KEEP, desk.CacheKept(job=job, subject=subject, entry=entry)),
        (Verb.BLOB_GET, desk.BlobAsked(job=job, digest=digest, shelf=PIECES)),
        (Verb.BLOB_GET, desk.BlobAsked(job=job, digest=digest, shelf=shelf)),
        (Verb.BLOB_PUT, desk.BlobGiven(job=job, digest=digest, shelf=shelf, content=b"evil")),
        (Verb.BLOB_JOIN, desk.BlobJoined(job=job, digest=digest, shelf=shelf, pieces=[digest])),
        (Verb.SOURCE, desk.SourceAsked(job=job)),
    ]


async def test_the_desk_gives_it_nothing_of_a_job_that_another_holds(
    far: Far, far_repo: Registered, hostile: Hostile
) -> None:
    far.joined("honest")
    run = far_repo.plan(
        'await step.job("deploy", pool="honest", run="test -e go || sleep 4; echo done")'
    )
    job = far.at_work(run)["job"]
    for verb, asked in questions_of(job, f"{far_repo.connection}/{far_repo.bare}"):
        told = await hostile.asks_desk(verb, asked)
        assert told is not None and told.how is How.REFUSED, (verb, told)
        assert "does not hold" in told.said
    # What it says of the job's end is dropped, and the job goes on to its own.
    report = JobFinished(
        job=job,
        key="deploy",
        attempt=1,
        outcome=Outcome.FAILED,
        message="evil",
        started_at=0.0,
        finished_at=1.0,
        runner="another",
    )
    told = await hostile.asks_desk(
        Verb.FINISH, desk.FinishAsked(job=job, report=encode_input(report))
    )
    assert told is not None and told.how is How.DONE
    wish = await hostile.asks_desk(Verb.CANCEL_OF, desk.JobAsked(job=job))
    assert wish is not None
    assert msgspec.msgpack.decode(wish.body, type=desk.CancelFound).wish is None
    shown = far.here.ended(run)
    assert shown["state"] == "succeeded", shown["error"]
    assert "evil" not in far.here.staunch("logs", run, "deploy")


async def test_it_cannot_claim_or_take_off_a_job_of_another_pool(
    far: Far, far_repo: Registered, hostile: Hostile
) -> None:
    run = far_repo.plan('await step.job("wait", pool="nobody", run="true")')

    def job_waits() -> bool:
        return "pool nobody" in far.here.staunch("show", run)

    until("the job to wait", job_waits, PATIENCE_S)
    job = far.here.show(run)["attempts"][-1]["job"]
    lease = Lease(job=job, key="wait", runner=hostile.runner, started_at=0.0)
    for sequence in range(1, 30):
        for consumer in ("runners-nobody", "runners-lent"):
            token = f"$JS.ACK.JOBS.{consumer}.1.{sequence}.1.1.0"
            told = await hostile.asks_desk(Verb.CLAIM, desk.ClaimAsked(token=token, lease=lease))
            assert told is not None and told.how is How.UNAVAILABLE
            done = desk.SettleAsked(token=token, job=job, how=Settling.DONE)
            await hostile.asks_desk(Verb.SETTLE, done)
    assert job_waits()


async def test_a_token_that_is_none_settles_nothing(hostile: Hostile) -> None:
    for token in ("", "jobs.lent", "$JS.ACK.JOBS.>.1.1.1.1.0", "$JS.ACK.RUNS_0.x.1.1.1.1.0", "a b"):
        for how in Settling:
            asked = desk.SettleAsked(token=token, job=OTHERS, how=how)
            told = await hostile.asks_desk(Verb.SETTLE, asked)
            assert told is not None and told.how is How.DONE, token


async def test_nonsense_is_refused_and_the_desk_goes_on(hostile: Hostile) -> None:
    for verb in Verb:
        answer = await hostile.asks_bus(desk.asking(hostile.runner, verb), b"\xc1nonsense")
        assert answer is not None and b"cannot be read" in answer
    assert b"knows no" in (await hostile.asks_bus(desk.asking(hostile.runner, "sudo")) or b"")


async def test_an_invitation_is_good_once(far: Far, tmp_path: Path) -> None:
    made = far.invited("lent")
    async with Hostile(tmp_path / "first", made["join"]):
        assert far.state_of(made["runner"]) == "joined"
    with pytest.raises(NotJoined, match="not good"):
        async with Hostile(tmp_path / "second", made["join"]):
            pass


async def test_an_invitation_ends_by_itself(far: Far, tmp_path: Path) -> None:
    made = far.here.call("POST", "/runners/invitations", {"pool": "lent", "minutes": 0.001}).body
    until("the end", lambda: far.state_of(made["runner"]) == "expired", PATIENCE_S)
    with pytest.raises(NotJoined):
        async with Hostile(tmp_path / "late", made["join"]):
            pass


async def test_a_revoked_runner_loses_its_connection_and_comes_in_no_more(
    far: Far, tmp_path: Path
) -> None:
    made = far.invited("lent")
    async with Hostile(tmp_path / "first", made["join"]) as hostile:
        assert not hostile.is_dropped.is_set()
        far.here.staunch("runner", "revoke", made["runner"])
        await hostile.is_dropped.wait()
        with pytest.raises(Turned):
            await hostile.comes_again()
    assert far.state_of(made["runner"]) == "revoked"
    said = far.here.call("POST", f"/runners/{made['runner']}/drain")
    assert (said.status, "revoked and stays so" in said.detail) == (409, True)


async def test_a_key_that_it_does_not_hold_cannot_be_enrolled(far: Far) -> None:
    invitation = Invitation.read(far.invited("lent")["join"])
    client = await admitted(member_of(invitation), invitation.seed.encode(), "liar")
    for key in ("U" * 56, 'UA", nkey: "x', ""):
        asked = msgspec.msgpack.encode(EnrolAsked(key=key, signature=b"0" * 64))
        answer = await client.request(enrolling(invitation.runner), asked, timeout=PATIENCE_S)
        told = msgspec.msgpack.decode(answer.data, type=Told)
        assert told.how is How.REFUSED and "does not hold the key" in told.said, key
    await client.close()
