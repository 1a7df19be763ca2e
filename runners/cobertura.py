"""Cobertura XML, as coverage tools write it, to Coverage: which lines of which file were run.

A document type without declarations of its own is taken, because many tools name one: nothing is
fetched for it, and without declarations there are no entities to expand.
"""

from collections.abc import Iterable
from xml.parsers import expat

import msgspec

from pipelines.job import Coverage, CoveredFile
from runners.report_words import NotTaken, clean, in_checkout

FILES_MAX = 50_000
# What is kept of the files goes into the Run's history with the job's report.
KEPT_BYTES_MAX = 65_536
FILE_CHARS_MAX = 300
LINE_MAX = 10_000_000

Lines = dict[int, bool]


class _Reader:
    """`files` grows: by name the lines that can be run, each with whether it was."""

    def __init__(self, files: dict[str, Lines]) -> None:
        self._all = files
        self._own: dict[str, Lines] = {}
        self._file: Lines | None = None
        self._sources: list[str] = []
        self._source: list[str] | None = None
        self._seen = False

    def read(self, content: bytes) -> None:
        """Raises NotTaken."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise NotTaken(f"it is no XML ({error})") from None
        if not self._seen:
            raise NotTaken("it holds no <coverage>")
        if not self._own:
            raise NotTaken("it names no file")
        own = {self._placed(name): lines for name, lines in self._own.items()}
        if len(self._all.keys() | own.keys()) > FILES_MAX:
            raise NotTaken(f"there are more than {FILES_MAX:,} files")
        for name, lines in own.items():
            known = self._all.setdefault(name, {})
            for number, is_covered in lines.items():
                known[number] = known.get(number, False) or is_covered

    def _doctype(self, _name: str, _at: str | None, _id: str | None, has_own: bool) -> None:
        if has_own:
            raise NotTaken("it declares a document type of its own, which no report needs")

    def _begin(self, tag: str, given: dict[str, str]) -> None:
        if tag == "coverage":
            self._seen = True
        elif tag == "source":
            self._source = []
        elif tag == "class" and given.get("filename"):
            name = clean(given["filename"], FILE_CHARS_MAX)
            self._file = self._own.setdefault(name, {})
            if len(self._own) > FILES_MAX:
                raise NotTaken(f"there are more than {FILES_MAX:,} files")
        elif tag == "line" and self._file is not None:
            number, hits = _number(given.get("number", "")), _number(given.get("hits", ""))
            if 0 < number <= LINE_MAX:
                self._file[number] = self._file.get(number, False) or hits > 0

    def _text(self, text: str) -> None:
        if self._source is not None and len(self._source) < FILE_CHARS_MAX:
            self._source.append(text[:FILE_CHARS_MAX])

    def _end(self, tag: str) -> None:
        if tag == "source" and self._source is not None:
            self._sources.append("".join(self._source).strip())
            self._source = None
        elif tag == "class":
            self._file = None

    def _placed(self, name: str) -> str:
        """As the repository has it, where the report says where its files are."""
        if len(self._sources) == 1 and not name.startswith("/"):
            below = in_checkout(f"{self._sources[0]}/{name}")
            return clean(below or name, FILE_CHARS_MAX)
        return in_checkout(name) or name


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0


def read_into(files: dict[str, Lines], content: bytes) -> None:
    """Add what a report says. Raises NotTaken, and then nothing is added."""
    _Reader(files).read(content)


def summed(files: dict[str, Lines]) -> Coverage:
    """The counts of all, and as many files as may be kept: those with the most lines missed."""
    found = [
        CoveredFile(file=name, covered=sum(lines.values()), lines=len(lines))
        for name, lines in files.items()
        if lines
    ]
    kept = sorted(_fitting(found), key=lambda one: one.file)
    return Coverage(
        covered=sum(one.covered for one in found),
        lines=sum(one.lines for one in found),
        files=kept,
        left_out=len(found) - len(kept),
    )


def _fitting(found: list[CoveredFile]) -> Iterable[CoveredFile]:
    size = 0
    for one in sorted(found, key=lambda one: (one.covered - one.lines, one.file)):
        size += len(msgspec.json.encode(one)) + 1
        if size > KEPT_BYTES_MAX:
            return
        yield one
