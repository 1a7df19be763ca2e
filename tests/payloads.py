"""The webhook bodies in `tests/forges/`: of which forge each is, and as which event it comes."""

import json
from pathlib import Path
from typing import Any

from pipelines.repo import ForgeKind

FOLDER = Path(__file__).parent / "forges"
PAYLOADS: dict[str, Any] = {
    f"{path.parent.name}/{path.stem}": json.loads(path.read_text())
    for path in sorted(FOLDER.glob("*/*.json"))
}
# By how a file's name begins; the longer name comes first.
EVENTS: dict[ForgeKind, dict[str, str]] = {
    ForgeKind.GITHUB: {
        "push": "push",
        "pull_request": "pull_request",
        "issue_comment": "issue_comment",
        "release": "release",
        "merge_group": "merge_group",
        "ping": "ping",
        "check_run": "check_run",
        "check_suite": "check_suite",
        "installation_repositories": "installation_repositories",
        "installation": "installation",
    },
    ForgeKind.GITEA: {
        "push": "push",
        "delete": "delete",
        "pull_request_comment": "pull_request_comment",
        "pull_request": "pull_request",
        "issue_comment": "issue_comment",
        "release": "release",
    },
    ForgeKind.GITLAB: {
        "push": "push",
        "tag_push": "tag_push",
        "merge_request": "merge_request",
        "note": "note",
        "release": "release",
    },
    ForgeKind.GIT: {"push": "push"},
    ForgeKind.BITBUCKET: {
        "push": "repo:push",
        "pullrequest_created": "pullrequest:created",
        "pullrequest_updated": "pullrequest:updated",
        "pullrequest_comment_created": "pullrequest:comment_created",
    },
    ForgeKind.BITBUCKET_DC: {
        "push": "repo:refs_changed",
        "pr_opened": "pr:opened",
        "pr_from_ref_updated": "pr:from_ref_updated",
        "pr_comment_added": "pr:comment:added",
        "mirror_repo_synchronized": "mirror:repo_synchronized",
        "diagnostics_ping": "diagnostics:ping",
    },
}


def folder_of(kind: ForgeKind) -> Path:
    """Where the bodies of this forge are."""
    return FOLDER / kind.replace("-", "_")


def kind_of(name: str) -> ForgeKind:
    """The forge that the body `<folder>/<name>` comes from."""
    return ForgeKind(name.partition("/")[0].replace("_", "-"))


def event_of(name: str) -> str:
    """The event as which it comes."""
    stem = name.partition("/")[2]
    return next(event for begin, event in EVENTS[kind_of(name)].items() if stem.startswith(begin))
