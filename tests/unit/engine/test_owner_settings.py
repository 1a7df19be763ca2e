"""Whether an owner's name has secrets or a policy here, of that connection."""

import pytest

from ci_host.adapters.memory.secrets import MemorySecrets
from ci_host.adapters.memory.trust import MemoryTrust
from ci_host.engine.owner_settings import KeptOwnerSettings
from ci_host.envelopes import StoredSecret
from pipelines.secret import Scope
from pipelines.trust import TrustPolicy

pytestmark = pytest.mark.anyio


def secret(**scope):
    return StoredSecret(
        name="KEY",
        scope=Scope(**scope),
        version=1,
        at=1.0,
        by="ada",
        key="k",
        nonce=b"",
        sealed=b"",
    )


async def test_secrets_and_policies_of_an_owner_count_and_no_others():
    secrets, trust = MemorySecrets(), MemoryTrust()
    owners = KeptOwnerSettings(secrets, trust)
    await secrets.write(secret(repo="hub/7"), after=0)
    await secrets.write(secret(org="hub/Acme"), after=0)
    await trust.put_policy(TrustPolicy(scope="hub:big"))
    await trust.put_policy(TrustPolicy(scope="hub"))
    assert await owners.has("hub", "acme")
    assert await owners.has("hub", "big")
    assert not await owners.has("tea", "acme")
    assert not await owners.has("hub", "7")
    await trust.put_policy(TrustPolicy(scope="hub:big", removed=True))
    assert not await owners.has("hub", "big")
