"""Loading: a Bundle's files as importable modules; which of them are pipelines, and their mistakes.

`prepare` compiles everything once, in a throw-away instance, and imports each pipeline to see what
it declares. `Modules` is what a Run then loads: code, and source for tracebacks.
"""

import importlib
import inspect
import json
import linecache
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType
from typing import Any, NamedTuple, cast

from staunch import deadline, priority, triggers

from pipelines.guest.failures import failure_of
from pipelines.guest.refusals import TESTING, refuse_testing
from pipelines.guest.wire import canonical

FOLDER = ".staunch/"
SINGLE = ".staunch.py"
DECLARED = "__staunch_triggers__"
CONCURRENCY = "__staunch_concurrency__"


class Source(NamedTuple):
    """One module. `code` None: it did not compile, and importing it says why."""

    path: str
    text: str
    code: CodeType | None
    is_package: bool


Sources = dict[str, Source]


class NotAPipeline(Exception):
    """The file has no `async def run(event, step)`."""


def sources_of(files: dict[str, str]) -> Sources:
    """The Python files by module name, compiled."""
    found: Sources = {}
    for path, text in sorted(files.items()):
        if path.endswith(".py"):
            found[module_name(path)] = Source(path, text, _compile(path, text), _is_package(path))
    for name in list(found):
        while "." in name:
            name = name.rpartition(".")[0]
            found.setdefault(name, Source(f"{FOLDER}{name.replace('.', '/')}/", "", None, True))
    return found


def module_name(path: str) -> str:
    """`.staunch/lib/x.py` is `lib.x`. A name that the stdlib has gets `_` behind it."""
    if path == SINGLE:
        return "pipeline"
    inner = path.removeprefix(FOLDER).removesuffix(".py").removesuffix("/__init__")
    name = inner.replace("/", ".")
    taken = name in sys.stdlib_module_names or name in ("staunch", "pipelines", "app")
    return f"{name}_" if taken else name


def pipeline_files(files: Iterable[str]) -> list[str]:
    """The files that may be pipelines: directly in the folder, or the single one."""
    return sorted(
        path
        for path in files
        if path == SINGLE
        or (
            path.startswith(FOLDER)
            and path.endswith(".py")
            and "/" not in path[len(FOLDER) :]
            and not path.endswith("/__init__.py")
        )
    )


def pipeline_name(path: str) -> str:
    """What the pipeline in this file is called."""
    return "pipeline" if path == SINGLE else path.removeprefix(FOLDER).removesuffix(".py")


class Modules:
    """A finder and loader over Sources. Its source text goes to linecache, for tracebacks."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.files = {source.path for source in sources.values()}

    def install(self) -> None:
        """Be asked first by `import`."""
        sys.meta_path.insert(0, self)
        for source in self.sources.values():
            # An entry of one function is fetched by linecache only when it is needed.
            linecache.cache[source.path] = (lambda text=source.text: text,)

    def uninstall(self) -> None:
        """Take everything away again; only for the native tests and the image build."""
        sys.meta_path.remove(self)
        for name, source in self.sources.items():
            linecache.cache.pop(source.path, None)
            sys.modules.pop(name, None)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Part of the import protocol."""
        if name == TESTING:
            refuse_testing()
        source = self.sources.get(name)
        if source is None:
            return None
        return spec_from_loader(
            name, cast(Any, self), origin=source.path, is_package=source.is_package
        )

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Part of the import protocol: an ordinary module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Part of the import protocol."""
        source = self.sources[module.__name__]
        module.__file__ = source.path
        code = source.code
        if code is None:
            code = compile(source.text, source.path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - this is what a sandbox is for

    def get_source(self, name: str) -> str:
        """Part of the import protocol."""
        return self.sources[name].text

    def plan(self, path: str) -> Any:
        """The `run` of the pipeline in this file. Raises what its import does, or NotAPipeline."""
        module = importlib.import_module(module_name(path))
        run = getattr(module, "run", None)
        if not inspect.iscoroutinefunction(run):
            has = "no" if run is None else "a `run` that is not an"
            raise NotAPipeline(f"{path} has {has} `async def run(event, step)`")
        return run

    def concurrency(self, path: str) -> Any:
        """The imported pipeline's `staunch.concurrency.Concurrency`, or None."""
        return getattr(sys.modules[module_name(path)], CONCURRENCY, None)

    def triggers(self, path: str) -> list[dict[str, Any]] | None:
        """What the imported pipeline declared."""
        found: list[dict[str, Any]] | None = getattr(sys.modules[module_name(path)], DECLARED, None)
        return found

    def asks(self, path: str) -> dict[str, Any] | None:
        """What the imported pipeline asks of whoever starts it: InputTerms in their wire form."""
        found = getattr(sys.modules[module_name(path)], triggers.ASKS, None)
        return None if found is None else cast(dict[str, Any], json.loads(canonical(found)))

    def priority(self, path: str) -> str | None:
        """The level that the imported pipeline declared, or None."""
        found: str | None = getattr(sys.modules[module_name(path)], priority.DECLARED, None)
        return found

    def run_timeout(self, path: str) -> deadline.RunTimeout | None:
        """How long a Run of the imported pipeline may take."""
        found = getattr(sys.modules[module_name(path)], deadline.DECLARED, None)
        return found if isinstance(found, deadline.RunTimeout) else None


def entries_of(modules: Modules, files: dict[str, str]) -> list[dict[str, Any]]:
    """A PipelineEntry for each pipeline, in its wire form; imports them all."""
    entries = []
    for path in pipeline_files(files):
        entry: dict[str, Any] = {"name": pipeline_name(path), "file": path}
        try:
            modules.plan(path)
            entry["triggers"] = modules.triggers(path)
            entry["asks"] = modules.asks(path)
            if (level := modules.priority(path)) is not None:
                entry["priority"] = level
        except NotAPipeline as error:
            if getattr(sys.modules[module_name(path)], "run", None) is None:
                continue
            entry["error"] = {**failure_of(error, modules.files), "file": path, "line": 1}
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, sys.exit too
            entry["error"] = failure_of(error, modules.files)
        entries.append(entry)
    return entries


def _compile(path: str, text: str) -> CodeType | None:
    try:
        return compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_package(path: str) -> bool:
    return path.endswith("/__init__.py")
