"""Registry: which adapter stands for which kind of forge. The only place that knows them all."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import msgspec

from pipelines.repo import Delivery, ForgeKind
from webhooks.bitbucket.parse import Bitbucket, repository_uuid
from webhooks.bitbucket_dc.parse import BitbucketDataCenter
from webhooks.errors import Malformed
from webhooks.forge import Forge, Ignored, ParsedEvent
from webhooks.git.parse import PlainGit
from webhooks.gitea.parse import Gitea
from webhooks.github.parse import GitHub
from webhooks.gitlab.parse import GitLab

_NUMBER = re.compile(r"[1-9][0-9]{0,18}\Z", re.ASCII)

FORGES: Mapping[ForgeKind, Forge] = MappingProxyType(
    {
        ForgeKind.GITHUB: GitHub(),
        ForgeKind.GITEA: Gitea(),
        ForgeKind.GITLAB: GitLab(),
        ForgeKind.BITBUCKET: Bitbucket(),
        ForgeKind.BITBUCKET_DC: BitbucketDataCenter(),
        ForgeKind.GIT: PlainGit(),
    }
)


def parse_delivery(delivery: Delivery) -> list[ParsedEvent] | Ignored:
    """The events in a recorded Delivery, each carrying its id. Raises Malformed."""
    parsed = FORGES[delivery.kind].parse(delivery.event, delivery.body)
    if isinstance(parsed, Ignored):
        return parsed
    told_of = {one.external_id for one in parsed}
    if delivery.repo and told_of != {delivery.repo}:
        return Ignored(
            f"it tells of repository {', '.join(sorted(told_of))[:80]}, and came to the webhook of"
            f" {delivery.repo}, which is believed of that one alone"
        )
    return [
        replace(one, event=msgspec.structs.replace(one.event, delivery=delivery.id))
        for one in parsed
    ]


def registered_id(kind: ForgeKind, given: str) -> str:
    """A repository's id as its forge's calls are parsed into it, from what people copy.

    Raises Malformed.
    """
    if kind is ForgeKind.BITBUCKET:
        return repository_uuid(given)
    if kind is ForgeKind.BITBUCKET_DC and not _NUMBER.match(given):
        raise Malformed(f"{given[:80]!r} is no number; Bitbucket Data Center numbers repositories")
    return given
