"""Bodies: the fields of a browser's form, and of JSON, read once for whoever asks."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from ci_host.api.problems import Problem

FORM_BYTES_MAX = 65_536
FIELDS_MAX = 200


async def read_json(request: Request) -> object:
    """The JSON of a request, or None where it is none. Raises Problem: it holds what is no text."""
    try:
        value: object = await request.json()
    except ValueError:
        return None
    if not _is_text(value):
        raise Problem(
            422,
            "Not a text",
            "The request holds one half of a surrogate pair (\\ud800 to \\udfff) alone, which is no"
            " character and cannot be kept.",
        )
    return value


def _is_text(value: object) -> bool:
    """Whether every text in it is one that UTF-8 can write. No recursion: it may be deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if any("\ud800" <= character <= "\udfff" for character in one):
                return False
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return True


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
