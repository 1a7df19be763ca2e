"""Tickets: what counts of a JobSpec for its turn, read from its message, and how it is sent on."""

import msgspec
import structlog

from ci_host.adapters.nats import subjects
from ci_host.line_ports import Ticket
from pipelines.ids import JobId
from pipelines.priority import Priority
from pipelines.trust import Tier

log = structlog.get_logger()


class _Request(msgspec.Struct, frozen=True):
    pool: str = "default"
    environment: str = ""
    labels: tuple[str, ...] = ()


class _Spec(msgspec.Struct, frozen=True):
    """What is needed here of a JobSpec."""

    id: str
    key: str
    request: _Request
    repo: str = ""
    repo_id: str = ""
    priority: Priority = Priority.NORMAL
    tier: Tier = Tier.UNTRUSTED


def ticket_of(body: bytes, place: int) -> Ticket | None:
    """Of a JobSpec as it was offered; None, and a line in the log, where it is none."""
    try:
        spec = msgspec.json.decode(body, type=_Spec)
    except msgspec.MsgspecError as error:
        log.error("undecodable", stream=subjects.OFFERS, reason=str(error))  # noqa: TRY400
        return None
    return Ticket(
        job=JobId(spec.id),
        key=spec.key,
        pool=spec.request.pool,
        level=spec.priority,
        repo=spec.repo_id or spec.repo,
        repo_name=spec.repo,
        place=place,
        tier=spec.tier,
        environment=spec.request.environment,
        labels=spec.request.labels,
    )


def for_pool(body: bytes, offer: Ticket) -> bytes:
    """The job as the Runners of its pool see it, also where it was sent on to them."""
    if not offer.sent:
        return body
    spec = msgspec.json.decode(body)
    spec["request"]["pool"] = offer.pool
    spec["request"].pop("labels", None)
    return msgspec.json.encode(spec)
