"""An agent that is killed while it has, or waits for, the secrets of a job; with real processes."""

import asyncio

import msgspec
import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from pipelines.job import Lease, Outcome
from pipelines.secret import ASK, SEALED_FOR, SecretsAsked, SecretsTold
from runners import job_directory
from tests.runner_world import make_spec, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]

KEY = "s3cr3t-canary-0123456789"
SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class Host:
    """Answers as a host does, of a job that anybody who holds it may have; silent until told."""

    def __init__(self, bus) -> None:
        self._bus = bus
        self.asked: list[SecretsAsked] = []
        self.may_answer = asyncio.Event()

    async def listen(self) -> None:
        await self._bus.client.subscribe(ASK, cb=self._on_message)

    async def _on_message(self, message) -> None:
        asked = msgspec.json.decode(message.data, type=SecretsAsked)
        self.asked.append(asked)
        if not self.may_answer.is_set():
            return
        (body,) = await self._bus.messages("LEASES", f"lease.{asked.job}")
        lease = msgspec.json.decode(body, type=Lease)
        signed = SecretsAsked.signed(asked.job, asked.runner, asked.public_key)
        Ed25519PublicKey.from_public_bytes(lease.verifier).verify(asked.signature, signed)
        key = X25519PublicKey.from_public_bytes(asked.public_key)
        value = msgspec.json.encode({"KEY": KEY})
        sealed = SUITE.encrypt(value, key, SEALED_FOR + asked.job.encode())
        await message.respond(msgspec.json.encode(SecretsTold(sealed=sealed)))


async def test_the_next_agent_asks_again_with_the_key_that_the_lease_names():
    async with world() as bus:
        host = Host(bus)
        await host.listen()
        spec = make_spec(None, 'echo "it is $KEY."', secrets={"KEY": "DEPLOY_KEY"})
        agent = bus.agent()
        await bus.submit(spec)
        await until(lambda: host.asked, "the question")
        agent.kill()
        agent.wait()
        directory = str(bus.job_directory(spec))
        assert job_directory.state_of(directory) == job_directory.STARTING
        host.may_answer.set()
        bus.agent()
        report = await bus.report(spec)
        assert report.outcome is Outcome.SUCCEEDED, report.message
        assert "it is ***.\n" in await bus.log(spec)
        assert len({asked.public_key for asked in host.asked}) == len(host.asked) >= 2
        assert KEY not in bus.agent_log()


async def test_a_job_whose_agent_is_killed_goes_on_and_is_masked_for_the_next():
    async with world() as bus:
        host = Host(bus)
        host.may_answer.set()
        await host.listen()
        script = 'echo "first $KEY"; until test -e go; do sleep 0.1; done; echo "then $KEY"'
        spec = make_spec(
            None, script, 'echo "$KEY" > "$STAUNCH_SUMMARY"', secrets={"KEY": "DEPLOY_KEY"}
        )
        agent = bus.agent()
        await bus.submit(spec)
        log = bus.job_directory(spec) / "log"
        await until(lambda: log.exists() and b"first ***" in log.read_bytes(), "the job")
        agent.kill()
        agent.wait()
        (bus.job_directory(spec) / "workspace" / "go").touch()
        await until(lambda: b"then ***" in log.read_bytes(), "the rest")
        bus.agent()
        report = await bus.report(spec)
        assert (report.outcome, report.summary) == (Outcome.SUCCEEDED, "***")
        assert len(host.asked) == 1
        assert KEY not in await bus.log(spec) + bus.agent_log()


async def test_a_job_is_refused_when_the_host_says_so_and_waits_while_there_is_none():
    async with world() as bus:
        spec = make_spec(None, "true", secrets={"KEY": "DEPLOY_KEY"})
        bus.agent()
        await bus.submit(spec)
        await until(lambda: "no host told the secrets" in bus.agent_log(), "the waiting")

        async def refuse(message) -> None:
            told = SecretsTold(refused="secret DEPLOY_KEY is not set for this job")
            await message.respond(msgspec.json.encode(told))

        await bus.client.subscribe(ASK, cb=refuse)
        report = await bus.report(spec)
        assert report.outcome is Outcome.REFUSED
        assert "secret DEPLOY_KEY is not set for this job" in report.message
