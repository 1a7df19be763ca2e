"""Exports: the names that a pipeline may rely on, locked; a change here is a change for authors."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import staunch
from staunch import testing
from staunch.errors import LimitBreached
from staunch.event import Event
from staunch.retry import Retry
from staunch.step import VERBS, Step
from staunch.usage import Usage

import ci_host
import pipelines
import runners
import webhooks

SDK = [
    "Artifact",
    "Cache",
    "Cell",
    "Choice",
    "Event",
    "First",
    "GateAnswer",
    "GateRejected",
    "GateTimedOut",
    "Input",
    "JobFailed",
    "JobResult",
    "MergeGroup",
    "NonRetryable",
    "PullRequest",
    "Received",
    "Release",
    "Retry",
    "RetryAfter",
    "RunFailed",
    "Scheduled",
    "Service",
    "Shell",
    "Step",
    "StepTimedOut",
    "Usage",
    "matrix",
    "on",
    "run_timeout",
    "shell",
]
TESTING = [
    "BrokenPipeline",
    "JobRecord",
    "KitFailure",
    "Nondeterministic",
    "NotTriggered",
    "PipelineTest",
    "Result",
    "Start",
    "StatusRecord",
    "StepRecord",
    "Unanswered",
    "Unused",
    "WrongAnswer",
    "manual",
    "merge_group",
    "pull_request",
    "push",
    "release",
    "schedule",
    "tag",
]
PREPARING = {
    "job": ["name", "outcome", "exit_code", "message", "outputs", "takes"],
    "gate": ["name", "approve_by", "reject_by", "times_out", "inputs", "comment", "after"],
    "signal": ["name", "payload", "after"],
    "call": ["name", "returns", "fails", "takes"],
    "do": ["name", "returns", "raises"],
    "fail": ["name", "message"],
    "cancel": ["during", "by"],
    "runs_on": ["event"],
    "run": ["event", "inputs"],
    "of": ["files", "file", "strict", "hibernate", "repo"],
}
PARAMETERS = {
    "do": ["name", "fn", "args", "retries", "timeout", "rollback", "sensitive"],
    "job": [
        "name",
        "run",
        "env",
        "cwd",
        "timeout",
        "retries",
        "pool",
        "volumes",
        "checkout",
        "rollback",
        "reports",
        "artifacts",
        "files",
        "caches",
        "secrets",
        "environment",
        "network",
        "egress",
        "id_token",
        "memory",
        "disk",
        "image",
        "isolation",
        "services",
        "wait_on_failure",
        "debuggers",
        "labels",
    ],
    "gate": [
        "name",
        "approvers",
        "needed",
        "inputs",
        "timeout",
        "message",
        "not_author",
        "on_timeout",
    ],
    "sleep": ["name", "duration"],
    "sleep_until": ["name", "when"],
    "wait_for_event": ["name", "event", "match", "timeout"],
    "first": ["steps", "named"],
    "parallel": ["steps", "fail_fast", "limit"],
    "call": ["name", "pipeline", "inputs"],
    "start": ["name", "pipeline", "inputs"],
    "continue_as_new": ["inputs"],
    "scope": ["name"],
    "set": ["text", "done", "total"],
}
EVENT_FIELDS = [
    "kind",
    "ref",
    "branch",
    "tag",
    "commit",
    "before",
    "sender",
    "message",
    "forced",
    "pull_request",
    "schedule",
    "release",
    "merge_group",
    "repo",
    "run_id",
    "inputs",
]
USAGE_FIELDS = [
    "events",
    "events_max",
    "steps",
    "steps_max",
    "history_bytes",
    "history_bytes_max",
    "is_high",
]


def test_the_sdk_exports_exactly_these_names() -> None:
    assert staunch.__all__ == SDK
    assert all(hasattr(staunch, name) for name in SDK)


def test_the_test_kit_exports_exactly_these_names_and_takes_these_parameters() -> None:
    assert testing.__all__ == TESTING
    kit = testing.PipelineTest
    public = {name: one for name, one in inspect.getmembers(kit, callable) if name[0] != "_"}
    assert sorted(public) == sorted(PREPARING)
    for name, names in PREPARING.items():
        assert [n for n in inspect.signature(public[name]).parameters if n != "self"] == names


def test_the_sdk_does_not_bring_the_test_kit_along() -> None:
    asked = "import sys, staunch; sys.exit('staunch.testing' in sys.modules)"
    path = {"PYTHONPATH": str(Path(staunch.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", asked], env=path).returncode == 0


def test_a_star_import_brings_nothing_else() -> None:
    names: dict[str, object] = {}
    exec("from staunch import *", names)
    assert sorted(names.keys() - {"__builtins__"}) == sorted(SDK)


def test_the_verbs_are_the_public_methods_of_step() -> None:
    public = [name for name, _ in inspect.getmembers(Step, callable) if not name.startswith("_")]
    assert sorted(public) == sorted(VERBS) == sorted(PARAMETERS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_these_parameters(verb: str) -> None:
    names = list(inspect.signature(getattr(Step, verb)).parameters)
    assert names[1:] == PARAMETERS[verb]


def test_an_event_has_these_fields() -> None:
    assert list(Event.__dataclass_fields__) == EVENT_FIELDS


def test_a_step_tells_this_of_its_run() -> None:
    told = [name for name, _ in inspect.getmembers(Step, lambda it: isinstance(it, property))]
    assert told == ["usage"]
    assert list(Usage.__dataclass_fields__) == USAGE_FIELDS


def test_a_retry_has_these_fields() -> None:
    fields = ["limit", "delay", "backoff", "jitter", "max_delay", "on", "exit_codes"]
    assert list(Retry.__dataclass_fields__) == fields


def test_there_are_these_triggers() -> None:
    triggers = [name for name in vars(type(staunch.on)) if not name.startswith("_")]
    assert sorted(triggers) == [
        "concurrency",
        "manual",
        "merge_group",
        "priority",
        "pull_request",
        "push",
        "release",
        "schedule",
        "tag",
    ]


def test_an_error_of_a_plan_is_caught_by_except_exception_and_a_breach_is_not() -> None:
    for name in SDK:
        found = getattr(staunch, name)
        if inspect.isclass(found) and issubclass(found, BaseException):
            assert issubclass(found, Exception), name
    assert not issubclass(LimitBreached, Exception)


@pytest.mark.parametrize("package", [ci_host, runners, webhooks, pipelines])
def test_the_four_packages_are_imported_by_module_and_export_nothing(package: ModuleType) -> None:
    shown = [name for name in vars(package) if not name.startswith("_")]
    modules = {found.name for found in pkgutil.iter_modules(package.__path__)}
    assert getattr(package, "__all__", []) == []
    assert set(shown) <= modules | {"sdk"}, "a facade in __init__ makes cycles"


def test_every_package_says_what_lives_in_it() -> None:
    for package in (ci_host, runners, webhooks, pipelines):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if found.ispkg:
                assert importlib.import_module(found.name).__doc__, found.name
