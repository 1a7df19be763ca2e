"""OwnerSettings: whether anything is given to all repositories of an owner, by the owner's name."""

from ci_host.secret_ports import SecretStore
from ci_host.trust_ports import TrustStore


class KeptOwnerSettings:
    """See OwnerSettings of `name_ports`."""

    def __init__(self, secrets: SecretStore, trust: TrustStore) -> None:
        self._secrets, self._trust = secrets, trust

    async def has(self, connection: str, owner: str) -> bool:
        """Names of owners count without regard to case here: too many are asked for, never too
        few."""
        given = f"{connection}/{owner}".lower()
        if any(one.secret.scope.org.lower() == given for one in await self._secrets.all()):
            return True
        scope = f"{connection}:{owner}".lower()
        policies = await self._trust.policies()
        return any(one.scope.lower() == scope and not one.removed for one in policies)
