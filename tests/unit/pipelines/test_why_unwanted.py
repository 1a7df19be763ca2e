"""Why a pipeline does not run on an event, in words."""

import pytest

from pipelines.event import Event, EventKind
from pipelines.trigger import why_unwanted

PUSH = Event(kind=EventKind.PUSH, ref="refs/heads/side", commit="a" * 40)
TAG = Event(kind=EventKind.TAG, ref="refs/tags/v1", commit="a" * 40)


@pytest.mark.parametrize(
    ("triggers", "event", "told"),
    [
        ([{"on": "push", "branches": ["main", "v/*"]}], PUSH, "it is only for branches main, v/*"),
        ([{"on": "tag", "tags": ["w*"]}], TAG, "it is only for tags w*"),
        ([{"on": "tag"}, {"on": "schedule"}], PUSH, "it runs on schedule, tag"),
        (None, TAG, "it runs on manual, pull_request, push"),
        ([], PUSH, "it runs on nothing but a start by hand"),
        (None, Event(kind=EventKind.PUSH, ref="refs/heads/x"), "nothing is left to build there"),
    ],
    ids=["branch", "tag", "kind", "default", "none", "deleted"],
)
def test_it_is_told_by_what_the_pipeline_declares(triggers, event, told):
    assert why_unwanted(triggers, event) == told
