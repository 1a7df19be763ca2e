"""Routes of exports: a Run as one file."""

from fastapi import APIRouter
from fastapi.responses import Response

from ci_host.api.auth import Here, Person
from ci_host.api.problems import Problem
from ci_host.api.runs import resolve
from ci_host.ports import Missing
from pipelines.events import RunStarted
from pipelines.export import Export, ExportedInput, ExportedTurn, encode_export
from pipelines.ids import Digest

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


@router.get("/{run}/export", summary="A run as one self-contained file")
async def export_run(here: Here, _who: Person, run: str) -> Response:
    """JSON lines: code, inputs, Turns, checksum. Sensitive values are left out."""
    found = await resolve(here, run)
    stored = await here.history.read(found)
    first = stored.inputs[0].input if stored.inputs else None
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
    return Response(encode_export(export), media_type="application/x-ndjson")
