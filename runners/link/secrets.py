"""SecretsLink: asks the host for the values of a job's secrets. See SecretSource.

Each question has a fresh key: only this process can read the answer, and nobody later.
"""

from functools import cached_property
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.errors import Error

from pipelines.job import JobSpec
from pipelines.secret import ASK, SEALED_FOR, SecretsAsked, SecretsTold
from runners.ports import Refused, Unavailable

ANSWER_S = 10.0


class SecretsLink:
    """`root` is the runner's data directory, with its identity."""

    def __init__(self, client: Client, *, runner: str, root: Path) -> None:
        self._client = client
        self._runner = runner
        self._root = root

    @cached_property
    def verifier(self) -> bytes:
        """The public half of the runner's identity."""
        from runners.identity import identity_of

        return identity_of(self._root).public_key().public_bytes_raw()

    async def open(self, spec: JobSpec) -> dict[str, str]:
        """One question, one answer."""
        # A runner whose jobs have no secrets does not carry the library.
        from cryptography.hazmat.primitives import hpke
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        from runners.identity import identity_of

        fresh = X25519PrivateKey.generate()
        public = fresh.public_key().public_bytes_raw()
        signed = SecretsAsked.signed(spec.id, self._runner, public)
        asked = SecretsAsked(
            job=spec.id,
            runner=self._runner,
            public_key=public,
            signature=identity_of(self._root).sign(signed),
        )
        try:
            answer = await self._client.request(ASK, msgspec.json.encode(asked), timeout=ANSWER_S)
            told = msgspec.json.decode(answer.data, type=SecretsTold)
        except (Error, TimeoutError, msgspec.MsgspecError) as error:
            said = str(error) or type(error).__name__
            raise Unavailable(f"no host told the secrets of {spec.id}: {said}") from error
        if told.refused:
            raise Refused(told.refused)
        if told.unavailable:
            raise Unavailable(told.unavailable)
        suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
        opened = suite.decrypt(told.sealed, fresh, SEALED_FOR + spec.id.encode())
        return msgspec.json.decode(opened, type=dict[str, str])
