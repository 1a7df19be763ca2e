"""Bodies: the fields of a browser's form, read once for whoever asks."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from ci_host.api.problems import Problem

FORM_BYTES_MAX = 65_536
FIELDS_MAX = 200


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a url-encoded form; of a field that comes twice, the last. Raises Problem."""
    kept: dict[str, str] | None = getattr(request.state, "form", None)
    if kept is not None:
        return kept
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES_MAX:
            raise Problem(413, "Too large", f"A form may have {FORM_BYTES_MAX:,} bytes.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:
        raise Problem(422, "Not a form", "The form's fields could not be read.") from error
    request.state.form = dict(pairs)
    return dict(pairs)
