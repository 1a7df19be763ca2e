"""Shell commands of a job: what `run=` may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from staunch.durations import Duration, optional_seconds

COMMANDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Shell:
    """One shell command of a job; made by `shell(…)`."""

    run: str
    name: str = ""
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "."
    timeout_s: float | None = None

    def wire(self, cwd: str) -> dict[str, Any]:
        """Its form in the request; `cwd` is the job's, for a command that has none of its own."""
        return {
            "run": self.run,
            "name": self.name,
            "env": self.env,
            "cwd": cwd if self.cwd == "." else self.cwd,
            "timeout_s": self.timeout_s,
        }


Run = str | Shell | Sequence[str | Shell]


def shell(
    run: str,
    *,
    name: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str = ".",
    timeout: Duration | None = None,
) -> Shell:
    """One command of a job with a name, environment, folder or time-out of its own."""
    if not isinstance(run, str) or not run.strip():
        raise TypeError(f"shell needs the command as a text, not {run!r}")
    return Shell(
        run,
        text(name, "name"),
        environment(env),
        text(cwd, "cwd"),
        optional_seconds(timeout, "shell's timeout"),
    )


def commands(run: Run) -> list[Shell]:
    """`run=` in its one form. Raises TypeError or ValueError saying what it may be."""
    if isinstance(run, str | Shell):
        run = [run]
    if not isinstance(run, list | tuple):
        raise TypeError(
            f"run must be a command, shell(…), or a list of these, not {type(run).__name__}"
        )
    if not 1 <= len(run) <= COMMANDS_MAX:
        raise ValueError(f"run must have 1 to {COMMANDS_MAX} commands, not {len(run)}")
    return [one if isinstance(one, Shell) else shell(one) for one in run]


def environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of the variables. Raises TypeError or ValueError naming the wrong one."""
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise TypeError(f"env must be a dict of texts, not {env!r}")
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ValueError(f"env has {name!r}, which is no name of a variable")
        if not isinstance(value, str):
            raise TypeError(
                f"env[{name!r}] is of type {type(value).__name__}; write str(…) around it"
            )
    return dict(env)


def text(value: object, what: str) -> str:
    """The value, if it is a text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a text, not {value!r}")
    return value
