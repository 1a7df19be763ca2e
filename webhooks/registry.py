"""Registry: which adapter stands for which kind of forge. The only place that knows them all."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import msgspec

from pipelines.repo import Delivery, ForgeKind
from webhooks.forge import Forge, Ignored, ParsedEvent
from webhooks.git.parse import PlainGit
from webhooks.gitea.parse import Gitea
from webhooks.github.parse import GitHub
from webhooks.gitlab.parse import GitLab

FORGES: Mapping[ForgeKind, Forge] = MappingProxyType(
    {
        ForgeKind.GITHUB: GitHub(),
        ForgeKind.GITEA: Gitea(),
        ForgeKind.GITLAB: GitLab(),
        ForgeKind.GIT: PlainGit(),
    }
)


def parse_delivery(delivery: Delivery) -> list[ParsedEvent] | Ignored:
    """The events in a recorded Delivery, each carrying its id. Raises Malformed."""
    parsed = FORGES[delivery.kind].parse(delivery.event, delivery.body)
    if isinstance(parsed, Ignored):
        return parsed
    return [
        replace(one, event=msgspec.structs.replace(one.event, delivery=delivery.id))
        for one in parsed
    ]
