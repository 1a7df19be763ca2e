"""ForgeLinks: where a commit or a line of a file can be seen on its forge. Pure.

Only http(s) clone URLs give links; what else stands in one (a user, a password, another scheme)
never reaches a page.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from pipelines.refs import is_commit
from pipelines.repo import ForgeKind, Repo

_HOST = re.compile(r"[A-Za-z0-9.-]+\Z|\[[0-9a-fA-F:]+\]\Z")
_FILES = {ForgeKind.GITHUB: "blob", ForgeKind.GITEA: "src/commit", ForgeKind.GITLAB: "-/blob"}
_COMMITS = {ForgeKind.GITLAB: "-/commit"}
_PULLS = {ForgeKind.GITHUB: "pull", ForgeKind.GITLAB: "-/merge_requests"}


@dataclass(frozen=True, slots=True)
class ForgeLinks:
    """Links into one repository at one commit; empty where there is nothing to link to."""

    base: str = ""
    kind: ForgeKind = ForgeKind.GIT
    commit_id: str = ""

    def commit(self) -> str:
        """The commit's page."""
        folder = _COMMITS.get(self.kind, "commit")
        return f"{self.base}/{folder}/{self.commit_id}" if self.base else ""

    def line(self, file: str | None, line: int | None) -> str:
        """The file's page, at the line."""
        if not self.base or not file or self.kind not in _FILES:
            return ""
        place = f"#L{line}" if line else ""
        return f"{self.base}/{_FILES[self.kind]}/{self.commit_id}/{quote(file)}{place}"

    def pull_request(self, number: int | None) -> str:
        """The pull request's page."""
        if not self.base or number is None:
            return ""
        return f"{self.base}/{_PULLS.get(self.kind, 'pulls')}/{number}"


def links_of(repo: Repo | None, kind: ForgeKind | None, commit: str) -> ForgeLinks:
    """The links for a Run of this Repo, or empty ones."""
    if repo is None or kind not in _FILES or not is_commit(commit):
        return ForgeLinks()
    parts = urlsplit(repo.clone_url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.scheme not in ("http", "https") or not _HOST.match(host):
        return ForgeLinks()
    port = f":{parts.port}" if parts.port else ""
    path = quote(parts.path.removesuffix("/").removesuffix(".git"))
    return ForgeLinks(f"{parts.scheme}://{host}{port}{path}", kind, commit)
