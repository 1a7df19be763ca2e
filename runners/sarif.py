"""SARIF 2.1, as analysers write it, to annotations: a finding's file, line, level, rule, message.

What a tool says did not fail, or was suppressed, is none. Only what is needed is decoded.
"""

from typing import Annotated
from urllib.parse import unquote

import msgspec

from pipelines.job import Annotation
from runners.report_words import NotTaken, clean, in_checkout

FINDINGS_MAX = 100
FILE_CHARS_MAX = 500
TITLE_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 2_000
ARGUMENTS_MAX = 20
LEVELS = {"error": "error", "warning": "warning", "note": "notice", "none": "notice"}
BOM = b"\xef\xbb\xbf"
# Longer than a message may be: what is cut off need not be put together.
TEXT_CHARS_MAX = 20_000

Line = Annotated[int, msgspec.Meta(ge=-1, le=2**31)]


class _Message(msgspec.Struct, frozen=True):
    text: str = ""
    id: str = ""
    arguments: list[str] = []


class _Place(msgspec.Struct, frozen=True, rename="camel"):
    uri: str = ""
    uri_base_id: str = ""
    index: int = -1


class _Region(msgspec.Struct, frozen=True, rename="camel"):
    start_line: Line = 1


class _Physical(msgspec.Struct, frozen=True, rename="camel"):
    artifact_location: _Place | None = None
    region: _Region | None = None


class _Location(msgspec.Struct, frozen=True, rename="camel"):
    physical_location: _Physical | None = None


class _Configuration(msgspec.Struct, frozen=True):
    level: str = "warning"


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    id: str = ""
    default_configuration: _Configuration = _Configuration()
    message_strings: dict[str, _Message] = {}


class _Component(msgspec.Struct, frozen=True):
    rules: list[_Rule] = []


class _Tool(msgspec.Struct, frozen=True):
    driver: _Component = _Component()
    extensions: list[_Component] = []


class _RuleName(msgspec.Struct, frozen=True):
    id: str = ""


class _Suppression(msgspec.Struct, frozen=True):
    status: str = "accepted"


class _Result(msgspec.Struct, frozen=True, rename="camel"):
    rule_id: str = ""
    rule_index: int = -1
    rule: _RuleName | None = None
    kind: str = "fail"
    level: str = ""
    message: _Message = _Message()
    locations: list[_Location] = []
    suppressions: list[_Suppression] | None = None


class _File(msgspec.Struct, frozen=True):
    location: _Place | None = None


class _Run(msgspec.Struct, frozen=True, rename="camel"):
    tool: _Tool = _Tool()
    results: list[_Result] | None = None
    original_uri_base_ids: dict[str, _Place] = {}
    artifacts: list[_File] = []


class _Log(msgspec.Struct, frozen=True):
    version: str
    runs: list[_Run]


_LOG = msgspec.json.Decoder(_Log)


def findings_in(content: bytes) -> tuple[list[Annotation], int]:
    """The findings that have a place in the checkout, and how many have none. Raises NotTaken."""
    try:
        log = _LOG.decode(content.removeprefix(BOM))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise NotTaken(f"it is no SARIF ({str(error)[:200]})") from None
    if not log.version.startswith("2.1"):
        raise NotTaken(f"it is SARIF {log.version[:20]!r}; 2.1 is read")
    found: list[Annotation] = []
    elsewhere = 0
    for run in log.runs:
        rules = {rule.id: rule for part in _parts(run.tool) for rule in part.rules}
        for result in run.results or []:
            if not _counts(result):
                continue
            annotation = _annotation(run, rules, result)
            if annotation is None:
                elsewhere += 1
            else:
                found.append(annotation)
    return found, elsewhere


def _parts(tool: _Tool) -> list[_Component]:
    return [*tool.extensions, tool.driver]


def _counts(result: _Result) -> bool:
    hidden = any(one.status == "accepted" for one in result.suppressions or [])
    return result.kind in ("fail", "review", "open") and not hidden


def _annotation(run: _Run, rules: dict[str, _Rule], result: _Result) -> Annotation | None:
    physical = next((one.physical_location for one in result.locations), None)
    place = physical.artifact_location if physical is not None else None
    file = _file(run, place) if place is not None else ""
    if not file:
        return None
    rule = _rule(run, rules, result)
    level = result.level or rule.default_configuration.level
    region = physical.region if physical is not None else None
    return Annotation(
        file=clean(file, FILE_CHARS_MAX),
        line=max(1, region.start_line) if region is not None else 1,
        message=clean(_said(rule, result.message).strip(), MESSAGE_CHARS_MAX) or rule.id,
        level=LEVELS.get(level, "warning"),
        title=clean(rule.id, TITLE_CHARS_MAX) or msgspec.UNSET,
    )


def _rule(run: _Run, rules: dict[str, _Rule], result: _Result) -> _Rule:
    name = result.rule_id or (result.rule.id if result.rule is not None else "")
    listed = run.tool.driver.rules
    if not name and 0 <= result.rule_index < len(listed):
        return listed[result.rule_index]
    # A rule's own rules are named below it: `CA2101/1`.
    return rules.get(name) or rules.get(name.rpartition("/")[0]) or _Rule(id=name)


def _said(rule: _Rule, message: _Message) -> str:
    text = message.text or rule.message_strings.get(message.id, _Message()).text
    text = text[:TEXT_CHARS_MAX]
    for number, value in enumerate(message.arguments[:ARGUMENTS_MAX]):
        text = text.replace(f"{{{number}}}", value[:MESSAGE_CHARS_MAX])[:TEXT_CHARS_MAX]
    return text


def _file(run: _Run, place: _Place) -> str:
    if not place.uri and 0 <= place.index < len(run.artifacts):
        place = run.artifacts[place.index].location or place
    base = run.original_uri_base_ids.get(place.uri_base_id, _Place()).uri
    whole = place.uri if "://" in place.uri or not base else f"{base.rstrip('/')}/{place.uri}"
    path = whole.removeprefix("file://")
    return "" if not path or "://" in path else in_checkout(unquote(path))


def kept(found: list[Annotation]) -> list[Annotation]:
    """As many as may be kept: errors first, then warnings, each in the report's order."""
    order = ("error", "warning", "notice")
    return sorted(found, key=lambda one: order.index(one.level))[:FINDINGS_MAX]
