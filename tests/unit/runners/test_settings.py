"""What a runner says of a setting that cannot be: which, what it was, and what it may be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ci_host.settings import Settings
from ci_host.supervisor import runner_options
from runners import bootstrap
from runners.settings import WrongSetting, settings_of, unknown_in
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
LIST = 'must be a JSON list of texts, such as ["one", "two"]'
TEXTS = 'must be a JSON object of texts, such as {"name": "text"}'
SLOTS = "must be a whole number from 1 to 256"
# A setting, what it was on the command line, what is said of it.
OPTIONS = [
    ("slots", "x", f"--slots is 'x', and {SLOTS}"),
    ("slots", 0, f"--slots is 0, and {SLOTS}"),
    ("slots", 257, f"--slots is 257, and {SLOTS}"),
    ("uid_base", 999, "--uid-base is 999, and must be a whole number of 1000 or more"),
    ("memory_gb", -1, "--memory-gb is -1, and must be a number of 0 or more"),
    ("disk_gb", 0, "--disk-gb is 0, and must be a number above 0"),
    ("lease_s", 14.9, "--lease-s is 14.9, and must be a number from 15 to 3600"),
    ("pool", "a b", "--pool is 'a b', and must be letters, digits, - and _ only"),
    ("executor", "foo", "--executor is 'foo', and must be bubblewrap, podman or process"),
    ("images", "/nowhere", "--images is '/nowhere', and there is no such directory"),
    ("registry_auth", "/nowhere", "--registry-auth is '/nowhere', and there is no such file"),
    (
        "egress",
        [":x"],
        "--egress: ':x' is no target: a port is a number from 1 to 65535",
    ),
]
# The same of the environment.
VARIABLES = [
    ("SLOTS", "many", f"is 'many', and {SLOTS}"),
    ("SLOTS", "", f"is empty, and {SLOTS}"),
    ("SLOTS", "2.5", f"is '2.5', and {SLOTS}"),
    ("DRAIN", "perhaps", "is 'perhaps', and must be true, false, 1 or 0"),
    ("EXECUTOR", "docker", "is 'docker', and must be bubblewrap, podman or process"),
    ("LEASE_S", "nan", "is 'nan', and must be a number from 15 to 3600"),
    ("EGRESS", "pypi.org", f"is 'pypi.org', and {LIST}"),
    ("EGRESS", "[1]", f"is '[1]', and {LIST}"),
    ("READ_ONLY", '{"a": "b"}', f'is \'{{"a": "b"}}\', and {LIST}'),
    ("VOLUMES", '["/a"]', f"is '[\"/a\"]', and {TEXTS}"),
    ("VOLUMES", '{"a": 1}', f"is '{{\"a\": 1}}', and {TEXTS}"),
    ("IMAGES", "/nowhere", "is '/nowhere', and there is no such directory"),
]


@pytest.mark.parametrize(("name", "value", "said"), OPTIONS)
def test_of_an_option_is_said_what_it_was_and_may_be(name: str, value: object, said: str) -> None:
    with pytest.raises(WrongSetting) as told:
        settings_of({name: value}, {})
    assert str(told.value) == said


@pytest.mark.parametrize(("name", "value", "said"), VARIABLES)
def test_of_a_variable_is_said_what_it_was_and_may_be(name: str, value: str, said: str) -> None:
    with pytest.raises(WrongSetting) as told:
        settings_of({}, {f"STAUNCH_RUNNER_{name}": value})
    assert str(told.value) == f"STAUNCH_RUNNER_{name} {said}"


def test_what_is_given_goes_before_a_variable_also_one_that_cannot_be() -> None:
    found = settings_of({"slots": 3}, {"STAUNCH_RUNNER_SLOTS": "x", "STAUNCH_RUNNER_DRAIN": "1"})
    assert (found.slots, found.drain, found.executor) == (3, True, "bubblewrap")


def test_a_variable_that_is_no_setting_is_named_with_the_one_that_may_be_meant() -> None:
    environment = {"STAUNCH_RUNNER_SLOT": "3", "STAUNCH_RUNNER_SLOTS": "3", "SLOT": "3"}
    assert unknown_in(environment) == [
        "STAUNCH_RUNNER_SLOT is no setting, and is not heeded (is STAUNCH_RUNNER_SLOTS meant?)"
    ]
    assert unknown_in({"STAUNCH_RUNNER_X": "1"}) == [
        "STAUNCH_RUNNER_X is no setting, and is not heeded"
    ]


def test_the_command_says_it_and_begins_nothing() -> None:
    command = [sys.executable, "-m", "runners", "agent", "--executor", "foo"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = " ".join(told.stderr.replace("│", " ").split())
    assert told.returncode == 2
    assert "--executor is 'foo', and must be bubblewrap, podman or process" in said


def agent(options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """An agent as `staunch up` begins it, which then has nothing to do."""
    return subprocess.run(
        [sys.executable, "-m", "runners.bootstrap"],
        env={"PATH": os.environ["PATH"], bootstrap.OPTIONS: options, **environment},
        cwd=ROOT,
        input="",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_an_agent_that_somebody_else_begins_heeds_its_environment_too() -> None:
    wrong = agent('{"nats": "-"}', STAUNCH_RUNNER_SLOTS="many")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("staunch-runner: STAUNCH_RUNNER_SLOTS is 'many', and must be")
    chosen = agent('{"nats": "-", "slots": 3}', STAUNCH_RUNNER_SLOTS="many")
    assert (chosen.returncode, chosen.stderr) == (0, "")
    # As `staunch up` leaves it out, where nobody gave it an option.
    left = agent(runner_options(Settings(data=ROOT, cache=ROOT)), STAUNCH_RUNNER_EGRESS='["%"]')
    assert left.returncode == 1 and "STAUNCH_RUNNER_EGRESS" in left.stderr
    named = agent('{"nats": "-", "volumes": {"../x": "/srv"}}')
    assert named.returncode == 1 and "has '../x', and names are letters" in named.stderr
    odd = agent('{"nats": "-"}', STAUNCH_RUNNER_SLOT="3")
    assert odd.returncode == 0 and "STAUNCH_RUNNER_SLOT is no setting" in odd.stderr
