"""MemoryFiles: files of commits in memory. Implements CommitFiles."""

from ci_host.ports import Missing
from ci_host.secret_ports import FileRefused
from pipelines.job import Source


class MemoryFiles:
    """See CommitFiles. `files` by commit and path are whatever the test says."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}

    def read(self, source: Source, path: str, bytes_max: int) -> bytes | None:
        if source.commit not in self.files:
            raise Missing(f"commit {source.commit} is not here")
        content = self.files[source.commit].get(path)
        if content is not None and len(content) > bytes_max:
            raise FileRefused(f"{path} has {len(content):,} bytes; {bytes_max:,} are allowed")
        return content
