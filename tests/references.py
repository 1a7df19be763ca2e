"""References: the pages of `docs/reference/`, made from the code that they are about.

`python -m tests.references` writes them anew; a test demands that they are what it would write.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import staunch
import typer

from ci_host.api.app import create_app
from ci_host.cli import command_line
from runners.cli import app as runner_app

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
PAGES = ("api.md", "cli.md", "sdk.md", "settings.md")
RUNNER = ["python -m runners"]
MADE = "Made from the code by `python -m tests.references`; what is meant, and examples, are in "
GUIDES = (
    "[the command line](../guide/cli.md), [for administrators](../guide/cli-administration.md) and"
    " [runners](../guide/runners.md)"
)
COMMON = (
    "`--data`, `--server`, `--token` and `--json` are those of"
    " [all that have them](../guide/cli.md#options-that-many-commands-share)."
)
# What many commands share is said once.
SHARED = ("--data", "--server", "--token", "--json", "--help")


def page(name: str) -> str:
    """A page by its file name."""
    made = {"sdk.md": _sdk, "cli.md": _cli, "settings.md": _settings, "api.md": _api}
    return "\n".join(made[name]()) + "\n"


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name in PAGES:
        (FOLDER / name).write_text(page(name))


def _sdk() -> Iterator[str]:
    yield "# What a pipeline imports"
    yield ""
    yield f"{MADE}[the guide](../guide/pipelines.md)."
    yield ""
    yield "`from staunch import …`"
    for name in staunch.__all__:
        yield from _name(name, getattr(staunch, name))


def _name(name: str, thing: Any) -> Iterator[str]:
    yield ""
    yield f"## {name}"
    yield ""
    if not inspect.isclass(thing) and not inspect.isfunction(thing):
        # The namespace of triggers: an object of a class of its own.
        yield _line(inspect.getdoc(type(thing)))
        yield from _methods(f"{name}.", type(thing))
        return
    if not issubclass(thing, BaseException) if inspect.isclass(thing) else True:
        yield f"`{name}{_signature(thing)}`"
        yield ""
    yield _line(inspect.getdoc(thing))
    if inspect.isclass(thing) and name == "Step":
        yield from _methods("step.", thing)


def _methods(prefix: str, of: type) -> Iterator[str]:
    for name, method in vars(of).items():
        if name.startswith("_") or not callable(method):
            continue
        yield ""
        yield f"- `{prefix}{name}{_signature(method)}`: {_line(inspect.getdoc(method))}"


def _signature(thing: Any) -> str:
    try:
        found = inspect.signature(thing)
    except ValueError:
        return "(…)"
    kept = [
        one.replace(annotation=inspect.Parameter.empty)
        for one in found.parameters.values()
        if one.name not in ("self", "cls") and not one.name.startswith("_")
    ]
    text = str(found.replace(parameters=kept, return_annotation=inspect.Signature.empty))
    # An object that says nothing but where it lies would be another at each start.
    text = re.sub(r"<[^>]*?(\w+) object at 0x[0-9a-f]+>", r"\1", text)
    return re.sub(r"<class '(\w+)'>", r"\1", text).replace("<factory>", "…")


def _cli() -> Iterator[str]:
    yield "# Every command"
    yield ""
    yield f"{MADE}{GUIDES}. {COMMON}"
    for words, command in _commands():
        arguments = [f"<{one.name}>" for one in _params(command, "argument")]
        yield ""
        yield f"**`{' '.join([*words, *arguments])}`** {_line(command.help)}"
        told = [_option(one) for one in _options(command)]
        if told:
            yield f"Options: {'; '.join(told)}."


def _commands() -> Iterator[tuple[list[str], Any]]:
    runner = typer.main.get_command(runner_app)
    todo: list[tuple[list[str], Any]] = [(["staunch"], command_line()), (RUNNER, runner)]
    while todo:
        words, command = todo.pop(0)
        below = getattr(command, "commands", None)
        if below is None:
            yield words, command
        else:
            todo = [([*words, name], one) for name, one in below.items()] + todo


def _params(command: Any, kind: str) -> list[Any]:
    # Typer brings a click of its own, whose classes have no other name.
    return [one for one in command.params if one.param_type_name == kind]


def _options(command: Any) -> list[Any]:
    found = _params(command, "option")
    return [one for one in found if one.opts[0] not in SHARED and not one.hidden]


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    variable = f" (`{option.envvar}`)" if option.envvar else ""
    return f"{names}{variable} {_line(option.help).rstrip('.')}".strip()


def _settings() -> Iterator[str]:
    yield "# Every variable"
    yield ""
    yield f"{MADE}[the command line](../guide/cli.md) and [operating](../guide/operating.md)."
    yield ""
    yield "| variable | is | of |"
    yield "| --- | --- | --- |"
    found: dict[str, tuple[str, set[str]]] = {}
    for words, command in _commands():
        for one in _params(command, "option"):
            if one.envvar:
                told, whose = found.setdefault(str(one.envvar), (_line(one.help), set()))
                whose.add(words[1])
    for variable, (told, whose) in sorted(found.items()):
        of = "many commands" if len(whose) > 3 else ", ".join(f"`{w}`" for w in sorted(whose))
        yield f"| `{variable}` | {_cell(told)} | {of} |"
    yield "| `STAUNCH_PROFILE` | Which profile of `staunch login` to use. | many commands |"
    yield "| `OTEL_EXPORTER_OTLP_ENDPOINT` and those like it | Where traces go. | `up` |"


def _api() -> Iterator[str]:
    yield "# Every route"
    yield ""
    yield f"{MADE}[the API](../guide/api.md). The same as OpenAPI: `GET /api/v1/openapi.json`."
    document = _document()
    routes = [
        (method.upper(), path, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]
    for tag in sorted({told["tags"][0] for _, _, told in routes}):
        yield ""
        yield f"## {tag}"
        yield ""
        yield "| route | does | takes |"
        yield "| --- | --- | --- |"
        for method, path, told in routes:
            if told["tags"][0] == tag:
                does = f"{told['summary']}. {_line(told.get('description'))}"
                takes = "; ".join(_takes(document, told)) or ""
                yield f"| `{method} {path}` | {_cell(does)} | {_cell(takes)} |"


def _document() -> dict[str, Any]:
    class Nothing:
        """No route is asked."""

        directory = inbox = told = None

    return create_app(cast(Any, Nothing())).openapi()


def _takes(document: dict[str, Any], told: dict[str, Any]) -> Iterator[str]:
    for one in told.get("parameters", []):
        if "$ref" not in one and one["in"] != "path":
            needed = ", required" if one.get("required") else ""
            yield f"`{one['name']}` ({_type(document, one['schema'])}{needed})"
    content = told.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    if not name:
        return
    form = document["components"]["schemas"][name]
    needed_names = form.get("required", [])
    fields = [
        f"`{field}` ({_type(document, of)}{', required' if field in needed_names else ''})"
        for field, of in form.get("properties", {}).items()
    ]
    yield f"body: {', '.join(fields)}. {_line(form.get('description'))}"


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _type(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    for way in ("anyOf", "allOf", "oneOf"):
        if way in schema:
            return " or ".join(_type(document, one) for one in schema[way])
    if schema.get("type") == "array":
        return f"list of {_type(document, schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip()


if __name__ == "__main__":
    main()
