"""Check: every rule on every file of a pipeline."""

from collections.abc import Callable, Iterator, Mapping

from pipelines.lint import arguments, asked, awaits, handling, imports, plans, sandbox, verbs
from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.project import CheckSchedule, Known, Project, project
from pipelines.lint.rules import RULES
from pipelines.lint.source import Source

Family = Callable[[Source, Calls, Project], Iterator[Finding]]

FAMILIES: tuple[Family, ...] = (
    plans.check,
    verbs.check,
    arguments.check,
    awaits.check,
    imports.check,
    sandbox.check,
    handling.check,
    asked.check,
)


def lint(
    files: Mapping[str, str], check_schedule: CheckSchedule, known: Known | None = None
) -> list[Finding]:
    """The mistakes of a Bundle's files, by file and place; each once."""
    whole = project(files, check_schedule, known)
    found = set(whole.unread)
    for module, source in whole.sources.items():
        for family in FAMILIES:
            found.update(family(source, whole.calls[module], whole))
    assert all(one.rule in RULES for one in found), "every rule is in the table"
    return sorted(found)
