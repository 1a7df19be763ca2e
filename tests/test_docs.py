"""The documentation is true: what it must mention it mentions, and what it shows runs."""

import ast
import importlib
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
import typer
import typer.main
from staunch.step import VERBS

from ci_host.adapters.nats.streams import rules
from ci_host.cli import command_line
from ci_host.engine.run_inputs import entered
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.bundle import Bundle
from pipelines.commands import GateTerms, OpenGate
from pipelines.events import GroupEntered, Input
from pipelines.job import Artifact, JobRequest, Outcome
from pipelines.run import RunState
from pipelines.turn import TurnOutcome
from runners.settings import Settings as RunnerSettings
from tests.bench.__main__ import ALONE, INSTALLED
from tests.tenants import FILE, Play, approved, child_finished, finished, rejected, signal, started

ROOT = Path(__file__).resolve().parents[1]
CODE = ("pipelines", "webhooks", "runners", "ci_host")
GUIDE = ROOT / "docs/guide"
# What the authors of pipelines read.
FOR_AUTHORS = [GUIDE / f"{name}.md" for name in ("pipelines", "parallel", "failures", "triggers")]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("[A-Z]*.md")),
]
COMMAND_NAMES = ("cli", "cli-run", "cli-plan", "cli-administration")
COMMAND_PAGES = tuple(GUIDE / f"{name}.md" for name in COMMAND_NAMES)
TURNS_MAX = 50
ARCHITECTURE_LINES_MAX = 150
DECISION_LINES_MAX = 40
TYPED = {"str": "text", "int": 25, "float": 0.5, "bool": True}
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
VARIABLE = re.compile(r"STAUNCH_[A-Z][A-Z_]*[A-Z]")
# Internal to one process pair, or a placeholder: named in the code for people who read it.
NOT_FOR_PEOPLE = {"STAUNCH_PROCESS", "STAUNCH_MIRROR", "STAUNCH_VOLUME", "STAUNCH_RUNNER"}


# The command line.


def commands() -> dict[str, typer.core.TyperCommand]:
    """Every command by its words, from the real command line."""
    found: dict[str, typer.core.TyperCommand] = {}

    def walk(command: typer.core.TyperCommand, words: str) -> None:
        below = getattr(command, "commands", None)
        if below is None:
            found[words] = command
            return
        for name, one in below.items():
            walk(one, f"{words} {name}")

    walk(command_line(), "staunch")
    return found


def command_pages() -> str:
    """All pages of the command line."""
    return "".join(page.read_text() for page in COMMAND_PAGES)


def section(title: str, *pages: Path) -> str:
    """The text under a heading of the second rank, or an error that says it is missing."""
    found: dict[str, str] = {}
    for page in pages:
        parts = re.split(r"^## (.+)$", page.read_text(), flags=re.M)
        found |= zip(parts[1::2], parts[2::2], strict=True)
    assert title in found, f"{', '.join(page.name for page in pages)}: no section {title!r}"
    return found[title]


@pytest.mark.parametrize("words", sorted(commands()))
def test_every_command_has_a_heading_with_its_options_and_variables(words: str) -> None:
    said = section(words, *COMMAND_PAGES) + section(
        "Options that many commands share", *COMMAND_PAGES
    )
    for parameter in commands()[words].params:
        if parameter.param_type_name == "option":
            assert f"`{parameter.opts[0]}" in said, f"{words} {parameter.opts[0]}"
        if parameter.envvar:
            assert f"`{parameter.envvar}`" in said, parameter.envvar


def test_no_command_is_described_that_does_not_exist() -> None:
    headings = re.findall(r"^## (staunch .+)$", command_pages(), re.M)
    assert sorted(headings) == sorted(commands())


def test_every_setting_of_a_runner_has_its_variable_in_the_guide() -> None:
    said = command_pages()
    for name in RunnerSettings.__struct_fields__:
        assert f"`STAUNCH_RUNNER_{name.upper()}`" in said


def test_every_variable_in_the_code_is_documented() -> None:
    said = "".join(page.read_text() for page in PAGES)
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            for name in set(VARIABLE.findall(path.read_text())) - NOT_FOR_PEOPLE:
                assert name in said, f"{path.name} reads or sets {name}"


# What the guide shows is run.


def examples() -> Iterator[tuple[str, str]]:
    """(page and place, source) of every complete pipeline in the documentation."""
    for page in PAGES:
        for number, source in enumerate(FENCE.findall(page.read_text()), 1):
            if "async def run(" in source:
                yield f"{page.relative_to(ROOT)}#{number}", source


EXAMPLES = dict(examples())


def played(source: str) -> TurnOutcome:
    """Play a pipeline to its end: runners succeed (but for `false`), and people approve."""
    named = re.findall(r'step\.(?:call|start)\("\w+", "(\w+)"', source)
    beside = {f".staunch/{name}.py": "async def run(event, step): ..." for name in named}
    play = Play(TenantHost(NativeImage()), source, beside=beside)
    outcome = play.turn(msgspec.structs.replace(started(), inputs=defaults_of(play)), after=0.0)
    asked: dict[str, JobRequest] = {}
    for _ in range(TURNS_MAX):
        for command in outcome.commands:
            if command.request is not None:
                asked[command.key] = command.request
        if outcome.end is not None:
            return outcome
        what = next_input(outcome, asked)
        outcome = play.wake() if what is None else play.turn(what)
    raise AssertionError("the example does not end")


def defaults_of(play: Play) -> dict[str, object] | None:
    """What the pipeline gets where nobody is asked."""
    prepared = play.host.prepare(Bundle(files={FILE: play.source}))
    return entered(prepared.pipelines[0], None)


def next_input(outcome: TurnOutcome, asked: dict[str, JobRequest]) -> Input | None:
    """What happens to a waiting plan next; None: only its timer."""
    wanted = outcome.open
    if wanted.group is not None and not wanted.group.entered:
        return GroupEntered(key=wanted.group.key)
    if wanted.jobs:
        job = wanted.jobs[0]
        request = asked[job.key]
        failed = job.cancelling or request.steps[-1].run == "false"
        how = Outcome.FAILED if failed else Outcome.SUCCEEDED
        left = [
            Artifact(name=name, digest="0" * 64, size=10, files=1) for name in request.artifacts
        ]
        return msgspec.structs.replace(finished(job.key, how, job.attempt), artifacts=left)
    if wanted.gates:
        gate = wanted.gates[0]
        inputs = {
            name: gate.terms.rules[name].choices[0] if name in gate.terms.rules else TYPED[kind]
            for name, kind in gate.terms.inputs.items()
            if name not in gate.terms.rules or gate.terms.rules[name].required
        }
        return approved(gate.key, answerer(gate), **inputs)
    if wanted.calls and not wanted.calls[0].detached:
        return child_finished(wanted.calls[0].key, RunState.SUCCEEDED, "done")
    if wanted.waits:
        return signal(wanted.waits[0].name, {"p99": 12} | (wanted.waits[0].match or {}))
    return None


def answerer(gate: OpenGate) -> str:
    """Somebody who may answer and has not yet."""
    terms: GateTerms = gate.terms
    names = [name for name in terms.approvers if not name.startswith("@")]
    return next(n for n in [*names, "grace", "ann"] if n not in gate.approved_by)


@pytest.mark.parametrize("place", sorted(EXAMPLES))
def test_an_example_runs_to_its_end(place: str) -> None:
    outcome = played(EXAMPLES[place])
    assert outcome.end is not None
    assert outcome.end.state in (RunState.SUCCEEDED, RunState.CONTINUED), outcome.end.error


def test_the_rejected_gate_of_the_guide_ends_as_it_says() -> None:
    source = FENCE.findall(section("step.gate", *FOR_AUTHORS))[0]
    play = Play(TenantHost(NativeImage()), source)
    play.start()
    end = play.turn(rejected("go-live", "ada", "no")).end
    assert end is not None
    assert end.output == "not released: gate 'go-live' was rejected by ada: no"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_section_with_an_example_that_uses_it(verb: str) -> None:
    blocks = FENCE.findall(section(f"step.{verb}", *FOR_AUTHORS))
    assert blocks, f"step.{verb} has no example"
    used = {n.attr for n in ast.walk(ast.parse(blocks[0])) if isinstance(n, ast.Attribute)}
    assert verb in used


@pytest.mark.parametrize(
    "title",
    [
        "shell",
        "step.usage",
        "Retry",
        "Rollback",
        "matrix",
        "run_timeout",
        "Triggers",
        "Concurrency",
        "Priority",
        "The event",
        "Errors",
        "asyncio",
    ],
)
def test_what_else_an_author_needs_has_a_section(title: str) -> None:
    assert section(title, *FOR_AUTHORS)


def test_every_field_of_an_event_and_every_error_is_described() -> None:
    staunch = importlib.import_module("staunch")
    said = "".join(page.read_text() for page in FOR_AUTHORS)
    for field in fields(staunch.Event):
        assert f"`event.{field.name}`" in said
    for field in fields(staunch.Usage):
        assert f"`{field.name}`" in said or field.name.endswith("_max")
    for field in fields(staunch.PullRequest):
        assert f"`{field.name}`" in said
    for name in staunch.__all__:
        found = getattr(staunch, name)
        if isinstance(found, type) and issubclass(found, Exception):
            assert f"| `{name}` |" in said


def test_python_on_every_page_is_python() -> None:
    for page in PAGES:
        for source in FENCE.findall(page.read_text()):
            ast.parse(textwrap.dedent(source))


# Numbers and names.

LIMIT = re.compile(r"^\| `([\w.]+)` \| ([\d,]+) \|", re.M)
LIMITS = LIMIT.findall((GUIDE / "limits.md").read_text())


@pytest.mark.parametrize(("name", "shown"), LIMITS)
def test_a_limit_in_the_guide_is_the_limit_in_the_code(name: str, shown: str) -> None:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        module, _, record = module.rpartition(".")
        found = getattr(getattr(importlib.import_module(module), record)(), attribute)
    assert found == int(shown.replace(",", ""))


def test_every_limit_of_a_plan_is_in_the_guide() -> None:
    listed = {name for name, _ in LIMITS}
    for module in ("pipelines.bundle", "pipelines.turn", "pipelines.events"):
        for name in vars(importlib.import_module(module)):
            assert not name.endswith("_MAX") or f"{module}.{name}" in listed
    said = {name.rpartition(".")[2] for name in listed}
    assert {"STEPS_RUN_MAX", "COMMANDS_TURN_MAX", "VALUE_BYTES_MAX", "PRINTED_CHARS_MAX"} <= said


def test_every_stream_and_its_subjects_are_described() -> None:
    said = (ROOT / "docs/bus.md").read_text()
    for rule in rules(1):
        assert f"`{rule.name.replace('_0', '_<k>')}`" in said, rule.name
        for subject in rule.subjects:
            assert f"`{subject.split('.')[0]}." in said, subject


def test_every_make_target_is_described() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    said = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    assert [target for target in targets if f"make {target}" not in said] == []


def test_every_figure_says_what_it_measures() -> None:
    said = (ROOT / "docs/figures.md").read_text()
    for name in ["disk.fdatasync", "signal.resume.hibernated", *ALONE, *INSTALLED]:
        assert f"`{name}`" in said, name


def test_the_architecture_is_short_and_names_only_what_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert text.count("\n") <= ARCHITECTURE_LINES_MAX
    named = re.findall(r"`([\w./-]+(?:/|\.(?:py|md|toml|wit|conf)))`", text)
    assert len(named) > 30
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_every_folder_of_the_code_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for folder in CODE:
        for init in (ROOT / folder).rglob("__init__.py"):
            path = f"{init.parent.relative_to(ROOT)}/"
            assert f"`{path}`" in text, path


@pytest.mark.parametrize("page", ["docs/guarantees.md", "docs/kill-matrix.md"])
def test_a_guarantee_names_tests_that_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    for path, test in named:
        source = (ROOT / path).read_text()
        assert not test or re.search(rf"def {test}\b", source), f"{path}::{test}"


def test_a_decision_is_short_and_has_its_three_parts() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert len(numbers) == len(set(numbers)), "a number is given once"
    for path in decisions:
        text = path.read_text()
        assert text.count("\n") <= DECISION_LINES_MAX, path.name
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text, f"{path.name}: {part}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_an_anchor_in_a_link_is_a_heading_of_its_page() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
            there = (page.parent / target if target else page).read_text()
            headings = re.findall(
                r"^#+ (.+)$", re.sub(r"^```.*?^```", "", there, flags=re.M | re.S), re.M
            )
            anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in anchors, f"{page.name}: {target}#{anchor}"


def test_what_is_not_there_yet_is_not_promised() -> None:
    """The first release has no YAML pipelines."""
    for page in (ROOT / "README.md", *FOR_AUTHORS):
        assert "pipeline.yaml" not in page.read_text()
