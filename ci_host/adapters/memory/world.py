"""MemoryJobs, MemoryGroups and MemoryBundles: the engine's other ports in memory."""

from ci_host.ports import Conflict, Missing
from pipelines.bundle import Bundle
from pipelines.group import Group
from pipelines.ids import Digest, JobId
from pipelines.job import JobSpec


class MemoryJobs:
    """See Jobs. `offers` keeps every offer, repeated ones too; a test plays the Runner."""

    def __init__(self) -> None:
        self.offers: list[JobSpec] = []
        self.claimed: set[JobId] = set()
        self.cancelled: dict[JobId, str] = {}

    async def publish(self, spec: JobSpec) -> None:
        self.offers.append(spec)

    async def is_claimed(self, job: JobId) -> bool:
        return job in self.claimed

    async def cancel(self, job: JobId, reason: str) -> None:
        self.cancelled[job] = reason


class MemoryGroups:
    """See Groups."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], tuple[int, Group]] = {}
        self._revision = 0

    async def read(self, repo: str, key: str) -> tuple[int, Group]:
        return self._groups.get((repo, key), (0, Group()))

    async def write(self, repo: str, key: str, group: Group, *, after: int) -> None:
        revision, _ = await self.read(repo, key)
        if revision != after:
            raise Conflict(f"group {key} is at {revision}, not {after}")
        self._revision += 1
        self._groups[(repo, key)] = (self._revision, group)


class MemoryBundles:
    """See Bundles."""

    def __init__(self) -> None:
        self._bundles: dict[Digest, bytes] = {}
        self._prepared: dict[tuple[Digest, Digest], bytes] = {}

    async def put(self, bundle: Bundle) -> Digest:
        digest = bundle.digest()
        self._bundles.setdefault(digest, bundle.encode())
        return digest

    async def get(self, digest: Digest) -> Bundle:
        if digest not in self._bundles:
            raise Missing(f"bundle {digest} is not in the store: was the store replaced?")
        return Bundle.decode(self._bundles[digest])

    async def put_prepared(self, bundle: Digest, image: Digest, content: bytes) -> bytes:
        return self._prepared.setdefault((bundle, image), content)

    async def get_prepared(self, bundle: Digest, image: Digest) -> bytes | None:
        return self._prepared.get((bundle, image))
