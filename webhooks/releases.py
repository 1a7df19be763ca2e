"""Releases: what a forge publishes under a tag, as an event. Pure.

None of them says which commit that is: the tag is looked up in the repository itself.
"""

from pipelines.event import Event, EventKind, Release
from webhooks.forge import Ignored, ParsedEvent, Sought
from webhooks.payload import message_of, name_of, ref_of

UNPUBLISHED = Ignored("only a release that is published runs anything")


def released(
    external_id: str,
    repo_name: str | None,
    *,
    tag: str,
    name: str | None,
    sender: str,
    is_prerelease: bool = False,
) -> list[ParsedEvent]:
    """The event. Raises Malformed."""
    ref = ref_of(f"refs/tags/{tag}", "the release's tag")
    event = Event(
        kind=EventKind.RELEASE,
        ref=ref,
        sender=sender,
        message=message_of(name),
        release=Release(name=name_of(name), is_prerelease=is_prerelease),
    )
    return [ParsedEvent(external_id, name_of(repo_name), event, sought=Sought("", ref))]
