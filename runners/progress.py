"""Progress: how far the files of an Attempt are, on their way from the blob store or to it.

Here: counting, and a store that counts. Told with the agent's signs of life, so a transfer that is
over between two of them is told by nobody.
"""

from pipelines.job import Moving
from pipelines.manifest import PIECES
from runners.ports import BlobStore


class Progress:
    """Of one Attempt, from when `begin` is called until `end`."""

    def __init__(self) -> None:
        self._doing = ""
        self._of = 0
        # Only grows: whoever waits sees whether anything moves at all.
        self.moved = 0
        self._before = 0

    def begin(self, doing: str) -> None:
        """`doing`: for people, as in "keeping its files"."""
        self._doing, self._of, self._before = doing, 0, self.moved

    def expect(self, size: int) -> None:
        """So many bytes more belong to it."""
        self._of += size

    def move(self, size: int) -> None:
        """So many bytes are there."""
        self.moved += size

    def end(self) -> None:
        """Nothing is on its way."""
        self._doing = ""

    def told(self) -> Moving | None:
        """None: nothing is on its way."""
        if not self._doing:
            return None
        return Moving(doing=self._doing, done=self.moved - self._before, of=self._of)


class CountedStore:
    """A BlobStore whose bytes are counted as they come and go."""

    def __init__(self, store: BlobStore, progress: Progress) -> None:
        self._store = store
        self._progress = progress

    def of(self, job: str) -> "CountedStore":
        """As the port says."""
        return CountedStore(self._store.of(job), self._progress)

    async def put(self, digest: str, content: bytes, shelf: str = PIECES) -> bool:
        """As the port says."""
        is_new = await self._store.put(digest, content, shelf)
        self._progress.move(len(content))
        return is_new

    async def get(self, digest: str, shelf: str = PIECES) -> bytes:
        """As the port says."""
        content = await self._store.get(digest, shelf)
        self._progress.move(len(content))
        return content
