"""ForgeLinks: where a commit or a line of a file can be seen on its forge. Pure.

Only http(s) clone URLs give links; what else stands in one (a user, a password, another scheme)
never reaches a page.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from pipelines.refs import is_commit
from pipelines.repo import ForgeKind, Repo

# Data Center clones from /scm/<key>/<repository>, and shows it elsewhere.
_SCM = re.compile(r"/scm/(~?)([^/]+)/([^/]+)\Z")
_HOST = re.compile(r"[A-Za-z0-9.-]+\Z|\[[0-9a-fA-F:]+\]\Z")
_COMMITS = {
    ForgeKind.GITHUB: "{base}/commit/{commit}",
    ForgeKind.GITEA: "{base}/commit/{commit}",
    ForgeKind.GITLAB: "{base}/-/commit/{commit}",
    ForgeKind.BITBUCKET: "{base}/commits/{commit}",
    ForgeKind.BITBUCKET_DC: "{base}/commits/{commit}",
}
_FILES = {
    ForgeKind.GITHUB: "{base}/blob/{commit}/{file}",
    ForgeKind.GITEA: "{base}/src/commit/{commit}/{file}",
    ForgeKind.GITLAB: "{base}/-/blob/{commit}/{file}",
    ForgeKind.BITBUCKET: "{base}/src/{commit}/{file}",
    ForgeKind.BITBUCKET_DC: "{base}/browse/{file}?at={commit}",
}
_LINES = {ForgeKind.BITBUCKET: "#lines-", ForgeKind.BITBUCKET_DC: "#"}
_PULLS = {
    ForgeKind.GITHUB: "pull",
    ForgeKind.GITEA: "pulls",
    ForgeKind.GITLAB: "-/merge_requests",
    ForgeKind.BITBUCKET: "pull-requests",
    ForgeKind.BITBUCKET_DC: "pull-requests",
}


@dataclass(frozen=True, slots=True)
class ForgeLinks:
    """Links into one repository at one commit; empty where there is nothing to link to."""

    base: str = ""
    kind: ForgeKind = ForgeKind.GIT
    commit_id: str = ""

    def commit(self) -> str:
        """The commit's page."""
        if not self.base:
            return ""
        return _COMMITS[self.kind].format(base=self.base, commit=self.commit_id)

    def line(self, file: str | None, line: int | None) -> str:
        """The file's page, at the line."""
        if not self.base or not file or self.kind not in _FILES:
            return ""
        place = f"{_LINES.get(self.kind, '#L')}{line}" if line else ""
        page = _FILES[self.kind].format(base=self.base, commit=self.commit_id, file=quote(file))
        return page + place

    def pull_request(self, number: int | None) -> str:
        """The pull request's page."""
        if not self.base or number is None:
            return ""
        return f"{self.base}/{_PULLS[self.kind]}/{number}"


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
    if kind is ForgeKind.BITBUCKET_DC:
        path = _SCM.sub(_page_of, path)
    return ForgeLinks(f"{parts.scheme}://{host}{port}{path}", kind, commit)


def _page_of(found: re.Match[str]) -> str:
    owners = "users" if found[1] else "projects"
    return f"/{owners}/{found[2]}/repos/{found[3]}"
