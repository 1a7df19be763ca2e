"""Coverage in Cobertura's XML: which lines were run, of which file."""

import pytest

from pipelines.job import Coverage, CoveredFile
from runners.cobertura import KEPT_BYTES_MAX
from runners.reading import File, read

FILE = """<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage version="7.6" line-rate="0.5" branch-rate="0">
 <sources><source>{source}</source></sources>
 <packages><package name="app"><classes>
  <class name="a.py" filename="app/a.py" line-rate="0.5"><methods><method><lines>
    <line number="1" hits="2"/></lines></method></methods>
   <lines><line number="1" hits="2"/><line number="2" hits="0"/></lines></class>
  <class name="b.py" filename="app/b.py"><lines>
    <line number="7" hits="0"/><line number="8" hits="0"/></lines></class>
 </classes></package></packages>
</coverage>"""


def check(*files: str):
    given = (File("cobertura", f"{n}.xml", text.encode()) for n, text in enumerate(files))
    return read(given)


def test_lines_are_counted_for_each_file_and_all():
    found = check(FILE.format(source="/workspace/src"))
    assert found.left_out == []
    assert found.coverage == Coverage(
        covered=1,
        lines=4,
        files=[
            CoveredFile(file="src/app/a.py", covered=1, lines=2),
            CoveredFile(file="src/app/b.py", covered=0, lines=2),
        ],
    )
    assert found.coverage.percent == 25.0


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("/workspace", "app/a.py"),
        ("/workspace/", "app/a.py"),
        ("/elsewhere/src", "app/a.py"),
        ("src", "src/app/a.py"),
        (".", "app/a.py"),
        ("..", "app/a.py"),
        ("", "app/a.py"),
    ],
)
def test_a_file_is_named_as_the_repository_has_it_where_that_is_known(source, file):
    assert check(FILE.format(source=source)).coverage.files[0].file == file


def test_what_several_reports_say_of_a_line_is_joined():
    more = FILE.format(source="/workspace/src").replace('"8" hits="0"', '"8" hits="3"')
    found = check(FILE.format(source="/workspace/src"), more)
    assert (found.coverage.covered, found.coverage.lines) == (2, 4)


BOMB = '<!DOCTYPE coverage [<!ENTITY a "aaaa">]><coverage><class filename="&a;"/></coverage>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "it declares a document type of its own"),
        ("<coverage/>", "it names no file"),
        ("<testsuite/>", "it holds no <coverage>"),
        ("<coverage>", "it is no XML"),
        ("", "it is no XML"),
    ],
)
def test_what_is_no_coverage_or_means_ill_is_left_out_and_the_others_count(text, says):
    found = check(text, FILE.format(source=""))
    assert found.coverage.lines == 4
    assert found.left_out[0].startswith(f"the report '0.xml': {says}")


def test_numbers_that_are_none_count_for_nothing():
    lines = "".join(
        f'<line number="{number}" hits="{hits}"/>'
        for number, hits in [("1", "9" * 400), ("-1", "1"), ("x", "1"), ("²", "1"), ("2", "")]
    )
    found = check(f'<coverage><class filename="a"><lines>{lines}</lines></class></coverage>')
    assert (found.coverage.covered, found.coverage.lines) == (0, 2)


def test_of_very_many_files_those_with_the_most_lines_missed_are_kept_and_all_are_counted():
    classes = "".join(
        f'<class filename="{n}.py"><lines><line number="1" hits="{n % 2}"/></lines></class>'
        for n in range(9_000)
    )
    found = check(f"<coverage>{classes}</coverage>").coverage
    assert (found.covered, found.lines) == (4_500, 9_000)
    assert found.left_out == 9_000 - len(found.files) > 0
    assert not any(one.covered for one in found.files)
    assert sum(len(one.file) for one in found.files) < KEPT_BYTES_MAX
