"""Code Insights: the reports with annotations that both Bitbuckets show beside a change.

Theory of operation: a report has a key of ours, derived from the context, and is told when a Run is
over, after the build itself. It is taken away, put and filled again each time, so that nothing of
an earlier attempt stays, and telling it twice, also half of it, comes to the same. The words for it
are each forge's own. Source: REST, "Reports" of Cloud, "Builds and Deployments" of Data Center.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2

from pipelines.job import Annotation
from pipelines.status import Status, StatusState, cut
from webhooks.forge import Refused, Sent, Told
from webhooks.status_api import classify, request

# Of both forges; a report has at most 1,000 annotations, and a Status at most 500.
DETAILS_CHARS_MAX = 2_000
TITLE_CHARS_MAX = 450
# What Cloud takes in one request.
ANNOTATIONS_REQUEST_MAX = 100
SEVERITIES = {"error": "HIGH", "warning": "MEDIUM", "notice": "LOW"}

_ADVICE = {
    401: "The connection's token is wrong or has expired; set a new one.",
    403: "The connection's token may not write reports; give it write access to the repository.",
    404: "The commit is unknown there, or the server is too old for reports.",
}


def key_of(status: Status) -> str:
    """What the report of a context is kept under, of 40 characters."""
    return f"staunch-{hashlib.sha256(status.context.encode()).hexdigest()[:32]}"


def is_passed(status: Status) -> bool:
    """Whether nothing stands against the change."""
    return status.state is StatusState.SUCCESS


def details_of(status: Status) -> str:
    """What a report says beside its title."""
    more = f"… and more: {status.target_url}"
    text = status.summary.strip() or status.description
    # Bytes are at least as many as characters.
    return cut(text, DETAILS_CHARS_MAX, more if len(more) < DETAILS_CHARS_MAX // 2 else "…")


def placed(status: Status) -> list[Annotation]:
    """The annotations that have a place in the repository, in the Status's order."""
    return [one for one in status.annotations if _has_place(one)]


def _has_place(one: Annotation) -> bool:
    parts = one.file.split("/")
    return "" not in parts and ".." not in parts and bool(one.message.strip())


async def tell_report(
    client: httpx2.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    report: Mapping[str, Any],
    notes: Sequence[Mapping[str, Any]],
    *,
    body_of: Callable[[list[Mapping[str, Any]]], Any],
    now: float,
) -> Told:
    """Replace the report at `url` and its annotations. Never raises for what network or forge do.

    `body_of`: of a request with so many annotations. `now`: seconds since the epoch.
    """
    starts = range(0, len(notes), ANNOTATIONS_REQUEST_MAX)
    batches = [body_of(list(notes[one : one + ANNOTATIONS_REQUEST_MAX])) for one in starts]
    calls = [("DELETE", url, None), ("PUT", url, report)]
    calls += [("POST", f"{url}/annotations", batch) for batch in batches]
    for method, place, body in calls:
        answer = await request(client, place, headers, body, method)
        told = classify(answer, now, _ADVICE) if isinstance(answer, httpx2.Response) else answer
        was_none = method == "DELETE" and isinstance(told, Refused)
        if isinstance(told, Sent) or was_none:
            # If it was not for want of a report, the next call is refused as well.
            continue
        if isinstance(told, Refused):
            return Refused(f"the build is told, but not all of its report: {told.reason}")
        return told
    return Sent()
