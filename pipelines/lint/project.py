"""Project: all files of a pipeline together, as the sandbox would load them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.guest.loading import module_name, pipeline_files, pipeline_name
from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.sdk import Books
from pipelines.lint.source import Source, read

if TYPE_CHECKING:
    from pipelines.schedule import Schedule

# Raises ScheduleRefused where an expression or a time zone means nothing: the host's knowledge.
CheckSchedule = Callable[["Schedule"], None]


@dataclass(frozen=True, slots=True)
class Known:
    """Names that an installation has; `where` it is."""

    where: str
    secrets: frozenset[str]
    pools: frozenset[str]


@dataclass(slots=True)
class Project:
    """`sources` by module name; `unread` are what could not be parsed, and why. `known` None:
    nobody asked what there is."""

    check_schedule: CheckSchedule
    known: Known | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    calls: dict[str, Calls] = field(default_factory=dict)
    unread: list[Finding] = field(default_factory=list)
    modules: frozenset[str] = frozenset()
    pipelines: dict[str, str] = field(default_factory=dict)


def project(
    files: Mapping[str, str], check_schedule: CheckSchedule, known: Known | None = None
) -> Project:
    """Read them all; what is no Python is not looked at."""
    found = Project(check_schedule, known)
    texts = {path: text for path, text in sorted(files.items()) if path.endswith(".py")}
    modules = {module_name(path) for path in texts}
    for name in list(modules):
        while "." in name:
            name = name.rpartition(".")[0]
            modules.add(name)
    found.modules = frozenset(modules)
    for path, text in texts.items():
        one = read(path, text)
        if isinstance(one, Finding):
            found.unread.append(one)
        else:
            found.sources[module_name(path)] = one
    found.pipelines = {
        pipeline_name(path): path for path in pipeline_files(texts) if _may_run(found, path)
    }
    for module, source in found.sources.items():
        books = Books(pipelines=found.pipelines, pipeline=pipeline_name(source.path))
        found.calls[module] = Calls(source, books)
    return found


def _may_run(found: Project, path: str) -> bool:
    """Whether others may call it: it has a `run`, or nobody can tell."""
    source = found.sources.get(module_name(path))
    if source is None or "run" in source.names.module.bound:
        return True
    return any(one != "staunch" for one in source.names.stars)
