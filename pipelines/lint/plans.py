"""Plans: the `run` that makes a file a pipeline, and what happens in its steps' bodies."""

import ast
import difflib
from collections.abc import Iterator

from pipelines.guest.loading import FOLDER, SINGLE, module_name, pipeline_files
from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.names import Binding
from pipelines.lint.project import Project
from pipelines.lint.sdk import awaited_verbs
from pipelines.lint.source import Source

FORM = "write: async def run(event, step):"
# The file that everybody takes for the pipeline, where a folder holds several.
MAIN = f"{FOLDER}pipeline.py"
_DECLARING = ("staunch.on.", "staunch.run_timeout")


def check(source: Source, calls: Calls, project: Project) -> Iterator[Finding]:
    """The `run` of a file that may be a pipeline; the body of every `step.do`."""
    if pipeline_files([source.path]):
        bound = source.names.module.bound.get("run", [])
        if bound:
            yield from _run(source, bound[-1])
        elif not source.names.stars or source.names.stars == ["staunch"]:
            yield from _no_run(source, project)
    for node in source.nodes:
        verb = calls.verb(node)
        if verb == "do" and isinstance(node, ast.Call) and len(node.args) > 1:
            yield from _body(source, calls, node.args[1])
        if verb in ("parallel", "first") or _is_gather(source, node):
            yield from _same_names(source, calls, node)


def _run(source: Source, binding: Binding) -> Iterator[Finding]:
    node = binding.node
    if isinstance(node, ast.FunctionDef) and not node.decorator_list:
        message = "run is not async, so that it could not wait for a step"
        yield source.finding(node, "run-not-async", message, FORM)
    elif isinstance(node, ast.AsyncFunctionDef) and not node.decorator_list:
        if any(isinstance(one, ast.Yield) and _is_in(source, one, node) for one in ast.walk(node)):
            message = "run has a yield, so that it is an iterator and not a plan"
            yield source.finding(node, "run-not-async", message, "take the yield out, or return")
        elif not _takes_two(node.args):
            message = "run is called with two arguments, the event and step"
            yield source.finding(node, "run-signature", message, FORM)
    elif isinstance(node, ast.ClassDef) or isinstance(
        binding.value, ast.Constant | ast.Lambda | ast.List | ast.Dict | ast.Tuple
    ):
        message = "run is no async function"
        yield source.finding(node, "run-not-async", message, FORM)


def _is_in(source: Source, node: ast.AST, function: ast.AST) -> bool:
    return source.names.function_of(node) is function


def _takes_two(args: ast.arguments) -> bool:
    places = len(args.posonlyargs) + len(args.args)
    is_enough = places >= 2 or args.vararg is not None
    needed_by_name = any(default is None for default in args.kw_defaults)
    return is_enough and places - len(args.defaults) <= 2 and not needed_by_name


def _no_run(source: Source, project: Project) -> Iterator[Finding]:
    functions = [
        one
        for one in source.tree.body
        if isinstance(one, ast.AsyncFunctionDef) and len(one.args.args) == 2
    ]
    declared = [
        one
        for one in source.tree.body
        if isinstance(one, ast.Expr)
        and isinstance(one.value, ast.Call)
        and source.names.dotted(one.value.func).startswith(_DECLARING)
    ]
    meant = [one for one in functions if one.args.args[0].arg == "event"]
    near = difflib.get_close_matches("run", [one.name for one in functions], 1, 0.7)
    meant += [one for one in functions if one.name in near]
    if source.path in (MAIN, SINGLE) and not _is_imported(source, project):
        meant += functions
    message = "the file has no `async def run(event, step)`, so it is no pipeline"
    if meant:
        fix = f"call {meant[0].name} run: async def run(event, step):"
        yield source.finding(meant[0], "no-run", message, fix)
    elif declared or source.path == SINGLE:
        yield source.finding(declared[0] if declared else source.tree, "no-run", message, FORM)
    elif not project.pipelines and source.path == _first(project):
        message = f"no file of {FOLDER} has an `async def run(event, step)`: a push starts nothing"
        yield source.finding(source.tree, "no-run", message, FORM)


def _is_imported(source: Source, project: Project) -> bool:
    """Whether another file of the pipeline may take what is in this one."""
    module = module_name(source.path)
    imports = (
        one
        for other in project.sources.values()
        for one in other.nodes
        if other is not source and isinstance(one, ast.Import | ast.ImportFrom)
    )
    return any(module in _imported(one) for one in imports)


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {node.module or "", *(one.name for one in node.names)}
    return {one.name for one in node.names}


def _first(project: Project) -> str:
    """Where it is said, once, that there is no pipeline."""
    files = pipeline_files(one.path for one in project.sources.values())
    return MAIN if MAIN in files else files[0]


def _body(source: Source, calls: Calls, function: ast.expr) -> Iterator[Finding]:
    body: ast.AST = function
    if isinstance(function, ast.Name):
        binding = source.names.only(function)
        if binding is None or binding.kind != "def":
            return
        body = binding.node
    elif isinstance(function, ast.Call):
        yield from _called(source, calls, function)
        return
    elif isinstance(function, ast.Lambda):
        yield from _lambda(source, function)
    else:
        return
    for node in ast.walk(body):
        if verb := calls.verb(node):
            yield source.finding(
                node,
                "step-in-body",
                f"step.{verb} is called in the body of a step.do, which only computes",
                "return a value from the body, and use steps in run() itself",
            )


def _lambda(source: Source, function: ast.Lambda) -> Iterator[Finding]:
    called = function.body
    if not isinstance(called, ast.Call) or not isinstance(called.func, ast.Name):
        return
    binding = source.names.only(called.func)
    if binding is not None and isinstance(binding.node, ast.AsyncFunctionDef):
        yield source.finding(
            function,
            "called-body",
            "the function of a step.do returns a coroutine, which nobody awaits",
            f"pass the function itself: step.do(name, {called.func.id}, …)",
        )


def _called(source: Source, calls: Calls, function: ast.Call) -> Iterator[Finding]:
    """A body that is called where it should be passed; what a plain function gives may be one."""
    binding = source.names.only(function.func) if isinstance(function.func, ast.Name) else None
    is_async = binding is not None and isinstance(binding.node, ast.AsyncFunctionDef)
    if is_async or calls.verb(function) in awaited_verbs():
        text = source.segment(function.func)
        yield source.finding(
            function,
            "called-body",
            "step.do needs a function, and this is what calling it gave",
            f"pass the function itself: step.do(name, {text}, …)",
        )


def _is_gather(source: Source, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and source.names.dotted(node.func) == "asyncio.gather"


def _same_names(source: Source, calls: Calls, node: ast.AST) -> Iterator[Finding]:
    """Two steps of one name at once: which of them is `#2`, nobody sees."""
    assert isinstance(node, ast.Call), "only calls have arguments"
    seen: set[tuple[str, str]] = set()
    for one in [*node.args, *(keyword.value for keyword in node.keywords)]:
        if not isinstance(one, ast.Call) or calls.verb(one) not in awaited_verbs():
            continue
        if not one.args or not isinstance(one.func, ast.Attribute):
            continue
        name = one.args[0]
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
            continue
        key = (source.segment(one.func.value), name.value)
        if key in seen:
            yield source.finding(
                name,
                "duplicate-name",
                f"two steps that go on at once are both called {name.value!r}",
                "give each a name of its own; the second would be shown as #2",
            )
        seen.add(key)
