"""Trace: the ids by which a Run and its Jobs are known in distributed traces (W3C Trace Context).

Derived, as all ids are: a job knows its span before anybody has told a collector of it.
"""

import hashlib

from pipelines.ids import JobId, RunId

TRACE_ID_HEX = 32
SPAN_ID_HEX = 16


def trace_id(run: RunId) -> str:
    """The trace of a Run: one for each attempt of the same."""
    return _hex("trace", run)[:TRACE_ID_HEX]


def span_id(name: str) -> str:
    """The span of a Run (its id), of a Step (`<run> <key>`), or of an Attempt (a job's id)."""
    return _hex("span", name)[:SPAN_ID_HEX]


def traceparent(run: RunId, job: JobId) -> str:
    """What a job passes on, so that the spans of its own tools are below it.

    https://www.w3.org/TR/trace-context/#traceparent-header
    """
    return f"00-{trace_id(run)}-{span_id(job)}-01"


def _hex(*words: str) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()
