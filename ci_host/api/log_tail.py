"""LogTail: the last lines of a job's log, for readers without JavaScript and for failure cards.

The live log is the browser's (`static/log.js`) and comes from the API.
"""

import re

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.sql.tables import AttemptRow
from ci_host.api.job_logs import Reader, mark_of
from ci_host.api.services import Services
from ci_host.api.views import services_view
from pipelines.ids import JobId
from pipelines.job import LogChunk

TAIL_LINES = 200
FAILURE_LINES = 30
# A log up to this size is read whole for its tail; of a longer one only the last chunk is.
WHOLE_BYTES_MAX = 2_000_000
LINE_CHARS_MAX = 2_000
TAIL_BYTES = 256 * 1024

ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
    r"|[\x00-\x08\x0b-\x1f\x7f]"
)


async def log_tail(
    here: Services, attempt: AttemptRow, lines_max: int, service: str = ""
) -> list[str]:
    """The last lines, plain; of the Attempt itself, or of a service of it."""
    job, size = JobId(attempt.job), attempt.log_bytes
    for one in services_view(attempt):
        if one["name"] == service:
            job, size = JobId(one["log"]), one["log_bytes"]
    begin = 0
    if size > WHOLE_BYTES_MAX:
        if await mark_of(here, job) is None:
            last = await here.bus.last(subjects.LOGS, subjects.log(job))
            text = "" if last is None else msgspec.json.decode(last.body, type=LogChunk).text
            return plain_lines(text, lines_max)
        begin = size - TAIL_BYTES
    parts = [chunk.text async for chunk in Reader(here, job, begin).more()]
    return plain_lines("".join(parts), lines_max)


def plain_lines(text: str, lines_max: int = 0) -> list[str]:
    """Lines without colours and control characters; a line rewritten by `\\r` in its last form.

    `lines_max`: only so many of the last; 0: all.
    """
    lines = text.removesuffix("\n").split("\n") if text else []
    return [_plain(line) for line in lines[-lines_max:]]


def _plain(line: str) -> str:
    shown = line.rstrip("\r").rpartition("\r")[2]
    return ESCAPES.sub("", shown)[:LINE_CHARS_MAX]
