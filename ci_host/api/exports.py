"""Routes of exports: a Run's History as JSON, a Run as one file, and a file as a Run to look at."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.claims import Claims
from ci_host.api.auth import Admin, Here, Person
from ci_host.api.description import answers
from ci_host.api.problems import Problem
from ci_host.api.runs import resolve
from ci_host.api.services import Services
from ci_host.ports import Missing, StoredHistory
from pipelines.events import RunStarted
from pipelines.export import (
    BadExport,
    Export,
    ExportedInput,
    ExportedTurn,
    decode_export,
    encode_export,
)
from pipelines.ids import Digest, RunId, is_run_id

MEDIA_TYPE = "application/x-ndjson"
IMPORT_BYTES_MAX = 134_217_728

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


# A file's first line; those of code, inputs, Turns and the checksum follow.
FIRST_LINE = '{"staunch_export":1,"codec":1,"run":"3-723aaf9386150b37754d"}\n'


@router.get(
    "/{run}/export",
    summary="A run as one self-contained file",
    response_class=Response,
    responses=answers(MEDIA_TYPE, FIRST_LINE),
)
async def export_run(here: Here, _who: Person, run: str) -> Response:
    """JSON lines: code, inputs, Turns, checksum. Sensitive values are left out."""
    found = await resolve(here, run)
    stored = await here.history.read(found)
    first = stored.inputs[0].input if stored.inputs else None
    if first is None and (kept := await _imported(here, found)) is not None:
        return Response(kept, media_type=MEDIA_TYPE)
    if not isinstance(first, RunStarted):
        raise Problem(404, "No such run", f"There is no run {run!r}; `staunch runs` lists them.")
    try:
        bundle = await here.bundles.get(Digest(first.bundle))
    except Missing as error:
        raise Problem(409, "Its code is gone", str(error)) from error
    export = Export(
        bundle,
        [ExportedInput(one.sequence, one.at, one.input) for one in stored.inputs],
        [ExportedTurn(one.sequence, one.turn) for one in stored.turns],
    )
    # What is large takes its time: others are served meanwhile.
    content = await asyncio.to_thread(encode_export, export)
    return Response(content, media_type=MEDIA_TYPE)


@router.get("/{run}/history", summary="A run's history as it is stored")
async def show_history(here: Here, _who: Person, run: str) -> dict[str, Any]:
    """Inputs and Turns in stream order; docs/bus.md says what their fields mean."""
    found = await resolve(here, run)
    stored: StoredHistory | Export = await here.history.read(found)
    armed = stored.armed if isinstance(stored, StoredHistory) else None
    if not stored.inputs and (kept := await _imported(here, found)) is not None:
        stored = await asyncio.to_thread(decode_export, kept)
    return {
        "run": found,
        "armed": armed,
        "inputs": [
            {"sequence": i.sequence, "at": i.at, "body": msgspec.to_builtins(i.input)}
            for i in stored.inputs
        ],
        "turns": [
            {"sequence": t.sequence, "turn": msgspec.to_builtins(t.turn.shown())}
            for t in stored.turns
        ],
    }


@router.post(
    "/import",
    status_code=201,
    summary="Take in the record of an exported run",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "What `/export` answers.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": FIRST_LINE}},
        }
    },
)
async def import_run(here: Here, _who: Admin, request: Request) -> dict[str, Any]:
    """To look at, to replay and to export again; it does not go on here."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > IMPORT_BYTES_MAX:
            raise Problem(413, "Too large", f"A file may have {IMPORT_BYTES_MAX:,} bytes.")
    content = bytes(body)
    try:
        export = await asyncio.to_thread(decode_export, content)
    except BadExport as error:
        raise Problem(422, "Not imported", str(error)) from error
    run = export.started.run
    if not is_run_id(run):
        raise Problem(422, "Not imported", f"{run!r} is no run id.")
    is_here = await here.history.started(RunId(run)) is not None
    kept = await Claims(here.bus).lay(content)
    if is_here or not await here.bus.put_once(subjects.imported(run), kept):
        raise Problem(409, "It is here already", f"This installation has a run {run}.")
    return {"run": run, "state": export.turns[-1].turn.state if export.turns else "pending"}


async def _imported(here: Services, run: str) -> bytes | None:
    stored = await here.bus.last(subjects.IMPORTS, subjects.imported(run))
    if stored is None:
        return None
    return await Claims(here.bus).body_of(stored.subject, stored.sequence, stored.body)
