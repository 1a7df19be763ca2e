"""The steps of a Job as files: what the driver inside the sandbox is given to run.

Here: `run/` of a job directory, and the driver, a shell loop that runs the step it is told to and
answers its exit code. Order, time limits, headers and the log are the shim's. Text from outside
(branch names, titles) is only ever the value of an environment variable.

    run/driver              the loop
    run/<n>/script          the step's command, as it was written
    run/<n>/enter           exports of its own variables, and its working directory
    run/passwd group hosts gitconfig    the few facts of /etc that programs insist on
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.ids import JobId, RunId
from pipelines.job import STEPS_PER_JOB_MAX, JobSpec, ShellStep
from pipelines.shell import WAIT_S_MAX
from pipelines.trace import traceparent
from pipelines.trust import Tier
from runners import handed
from runners.ports import LaunchStep, Refused

CHECKOUT = "checkout"
ID_TOKEN = "STAUNCH_ID_TOKEN"  # noqa: S105  the name of a variable
# Where a sandbox shows the folder for what the steps hand over.
HANDED = "/run/handed"
NAME_CHARS_MAX = 100
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")

# Descriptor 4 brings orders, 3 takes answers; neither is passed on to a step. The trap lets the
# driver outlive a SIGTERM to the whole group, so that it can report how the step took it. What the
# driver itself has to say about a killed step would only stand among the step's own output.
# An order with a pty in it is a terminal, for a session of its own; where there is no setsid, as in
# an image without tools, a shell in it has no job control.
DRIVER = """\
trap : TERM INT HUP
base=$1
shell=/bin/sh
[ -x /bin/bash ] && shell=/bin/bash
leader=$(command -v setsid) && leader="$leader -c"
exec 9>&2 2>/dev/null
echo ready >&3
while read -r step pty term <&4; do
  if [ -n "$pty" ]; then
    (
      trap - TERM INT HUP
      . "$base/$step/enter"
      export TERM="$term"
      exec $leader "$shell" -i <>"/dev/pts/$pty" >&0 2>&0 3>&- 4<&- 9>&-
    )
    echo "$?" >&3
    continue
  fi
  (
    trap - TERM INT HUP
    . "$base/$step/enter" && exec "$shell" -e "$base/$step/script" 3>&- 4<&- 9>&- </dev/null
  ) 2>&9
  echo "$?" >&3
done
"""

# Hooks and templates are off, so nothing but git and the repository's own filters runs here.
CHECKOUT_SCRIPT = """\
git init --quiet --template= .
echo "$STAUNCH_MIRROR/objects" > .git/objects/info/alternates
git -c core.hooksPath=/dev/null -c advice.detachedHead=false checkout --quiet --detach \
"$STAUNCH_COMMIT"
git --no-pager log -1 --no-decorate --format='%H %s'
"""

GITCONFIG = "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n"
USERS = "root:x:0:0:root:/:/bin/false\njob:x:1000:1000:job:/home/job:/bin/sh\n"
GROUP = "root:x:0:\njob:x:1000:\n"
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the steps of a job see the repository, their workspace, and what they hand over."""

    mirror: str
    workspace: str
    handed: str


def environment_of(spec: JobSpec) -> dict[str, str]:
    """What every step of the job sees, apart from PATH and HOME. Raises Refused."""
    env = {
        "CI": "true",
        "STAUNCH": "true",
        **spec.context,
        "STAUNCH_RUN": spec.run,
        "STAUNCH_JOB": spec.key,
        "STAUNCH_JOB_ID": spec.id,
        "STAUNCH_ATTEMPT": str(spec.attempt),
        "STAUNCH_COMMIT": spec.source.commit,
        "STAUNCH_REPO": spec.repo,
        "TRACEPARENT": traceparent(RunId(spec.run), JobId(spec.id)),
        **spec.request.env,
    }
    for name, value in env.items():
        check_variable(name, value)
    for name in spec.request.secrets:
        check_variable(name, "")
    return env


def check(spec: JobSpec) -> None:
    """Raises Refused where the job cannot be laid out as files."""
    if len(spec.request.steps) > STEPS_PER_JOB_MAX:
        raise Refused(
            f"the job has {len(spec.request.steps)} steps, at most {STEPS_PER_JOB_MAX} are run;"
            " join some of them"
        )
    if wants_checkout(spec) and not COMMIT.match(spec.source.commit):
        raise Refused(f"{spec.source.commit!r} is no full commit id, so it is not checked out")
    for step in spec.request.steps:
        for name, value in step.env.items():
            check_variable(name, value)
        if "\x00" in step.run or "\x00" in step.cwd:
            raise Refused(f"step {name_of(step)!r} holds a NUL byte, which no command can")


def wait_of(spec: JobSpec) -> dict[str, Any]:
    """What a Launch says of the wait for a terminal. Never for those who are not trusted."""
    if not spec.wait_s or spec.tier is not Tier.TRUSTED:
        return {}
    hint = f"staunch shell {spec.run} {shlex.quote(spec.key)}"
    return {"wait_s": min(spec.wait_s, WAIT_S_MAX), "wait_hint": hint}


def wants_checkout(spec: JobSpec) -> bool:
    """Whether the workspace begins with the files of a commit."""
    return spec.request.checkout and bool(spec.source.mirror)


def launch_steps(spec: JobSpec) -> list[LaunchStep]:
    """The job's steps as the shim names and limits them, checkout first."""
    first = [LaunchStep(name=CHECKOUT)] if wants_checkout(spec) else []
    return first + [
        LaunchStep(name=name_of(step), timeout_s=step.timeout_s) for step in spec.request.steps
    ]


def name_of(step: ShellStep) -> str:
    """One line that stands for the step in the log."""
    lines = (step.name or step.run).strip().splitlines() or ["step"]
    return lines[0][:NAME_CHARS_MAX]


def write(spec: JobSpec, run: Path, *, places: Places) -> None:
    """Fill `run/` of a new job directory."""
    run.mkdir(mode=0o755)
    run.joinpath("driver").write_text(DRIVER, encoding="utf-8")
    write_facts(spec, run)
    steps = [(step.run, step.env, step.cwd) for step in spec.request.steps]
    if wants_checkout(spec):
        steps.insert(0, (CHECKOUT_SCRIPT, {"STAUNCH_MIRROR": places.mirror}, "."))
    files = {
        "STAUNCH_OUTPUT": f"{places.handed}/{handed.OUTPUTS}",
        "STAUNCH_SUMMARY": f"{places.handed}/{handed.SUMMARY}",
        "STAUNCH_ANNOTATIONS": f"{places.handed}/{handed.ANNOTATIONS}",
    }
    # The repository's filters may run with the checkout: they need none of the job's secrets.
    hidden = "".join(f"unset {name}\n" for name in (*spec.request.secrets, ID_TOKEN))
    for index, (script, env, cwd) in enumerate(steps):
        folder = run / str(index)
        folder.mkdir(mode=0o755)
        folder.joinpath("script").write_bytes(script.encode("utf-8", "surrogateescape") + b"\n")
        exports = [f"export {key}={shlex.quote(value)}\n" for key, value in (files | env).items()]
        enter = f"cd -- {shlex.quote(places.workspace)} && cd -- {shlex.quote(cwd or '.')}\n"
        is_checkout = wants_checkout(spec) and index == 0
        text = (hidden if is_checkout else "") + "".join(exports) + enter
        folder.joinpath("enter").write_bytes(text.encode("utf-8", "surrogateescape"))


def write_facts(spec: JobSpec, run: Path) -> None:
    """The few of /etc, into a folder that a sandbox shows: its services are hosts of the job."""
    beside = "".join(f"127.0.0.1 {one.name}\n" for one in spec.request.services)
    for name, text in (
        ("gitconfig", GITCONFIG),
        ("passwd", USERS),
        ("group", GROUP),
        ("hosts", HOSTS + beside),
    ):
        run.joinpath(name).write_text(text, encoding="utf-8")


def check_variable(name: str, value: str) -> None:
    """Raises Refused where it can be none."""
    if not VARIABLE.match(name):
        raise Refused(f"{name!r} is no name for an environment variable")
    if "\x00" in value:
        raise Refused(f"the value of {name} holds a NUL byte, which no environment can")
