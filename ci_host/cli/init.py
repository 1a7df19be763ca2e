"""`init`: a first pipeline, that fits the repository it is for. What fits is `toolchains.py`'s."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ci_host.cli.client import ClientError
from ci_host.cli.first_jobs import Files, FirstJob, Toolchain
from ci_host.cli.pasted import word
from ci_host.cli.plain import escape
from ci_host.cli.toolchains import others_of, toolchain_of
from ci_host.cli.working_tree import default_branch, files_of, top_of
from pipelines.bundle import FOLDER, SINGLE

FILE = f"{FOLDER}/pipeline.py"
READ_BYTES_MAX = 1_000_000
EXISTS = 1
# What jobs are called that test something.
TESTING = ("test", "check")
NOTHING_KNOWN = Toolchain("nothing known", "", [FirstJob("test", "echo 'put your tests here'")])


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    path: Annotated[Path, typer.Argument(help="A git checkout.")] = Path(),
    show: Annotated[bool, typer.Option("--print", help="Print it, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the one that is there.")] = False,
) -> None:
    """Write a first pipeline that fits this repository: Python, Node, Go, Rust, Java or make."""
    top = top_of(path.absolute())
    files = _look(top)
    chosen = toolchain_of(files) or NOTHING_KNOWN
    branch = default_branch(top)
    text = pipeline_text(chosen, branch)
    if show:
        typer.echo(text, nl=False)
        return
    there = [name for name in (FILE, SINGLE) if (top / name).exists()]
    if there and not force:
        raise ClientError(f"{top / there[0]} is there already; --force replaces {FILE}", EXISTS)
    (top / FILE).parent.mkdir(exist_ok=True)
    (top / FILE).write_text(text)
    _tell(chosen, others_of(files, chosen), branch)


def _look(top: Path) -> Files:
    """The checkout as a commit of everything would have it: nothing that git ignores."""

    def read(name: str) -> str:
        try:
            with (top / name).open("rb") as file:
                return file.read(READ_BYTES_MAX).decode(errors="replace")
        except OSError:
            return ""

    names = frozenset(files_of(top))
    scripts = (name for name in names if "/" not in name and os.access(top / name, os.X_OK))
    return Files(names, read, frozenset(scripts))


def _tell(chosen: Toolchain, others: list[str], branch: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    why = f", by {escape(chosen.because)}" if chosen.because else ": edit it first"
    console.print(f"wrote [bold]{FILE}[/] ({chosen.language}{why})")
    console.print(f"it runs on pushes to {escape(branch)} and on pull requests")
    if chosen.because and not any(job.name in TESTING for job in chosen.jobs):
        console.print("no tests were found: add a job for yours")
    if others:
        console.print(f"there is {', '.join(others)} here too: add its jobs")
    # Of some a part is a glob, which a shell would look for among the files.
    hosts = word(",".join(chosen.hosts)) if chosen.hosts else ""
    if hosts:
        console.print(
            f"its jobs fetch packages; have runners allow it: staunch up --egress {hosts}"
        )
    option = f" --egress {hosts}" if hosts else ""
    console.print(f"try it before you push it: staunch lint && staunch run{option}")


def pipeline_text(chosen: Toolchain, branch: str) -> str:
    """The file. It passes `staunch lint`, and a formatter has nothing to change."""
    imports = "Cache, on" if chosen.cache else "on"
    lines = [f"from staunch import {imports}", "", f"on.push(branches={_list([branch])})"]
    lines += ["on.pull_request()", ""]
    if chosen.cache:
        name, folder, files = chosen.cache
        lines += [f"KEPT = Cache({_q(name)}, paths={_q(folder)}, on={_list(files)})"]
    if chosen.setup:
        # One script with the job's own command: what it exports is for that.
        lines += ['SETUP = """', *chosen.setup, '"""']
    if chosen.hosts:
        lines += [f"HOSTS = {_list(chosen.hosts)}"]
    lines += ["", "", "async def run(event, step):"]
    groups = sorted({job.group for job in chosen.jobs})
    for group in groups:
        lines += _group(chosen, [job for job in chosen.jobs if job.group == group])
    return "\n".join(lines).replace("\n\n\n\n", "\n\n\n") + "\n"


def _group(chosen: Toolchain, jobs: list[FirstJob]) -> list[str]:
    if len(jobs) == 1:
        first, *rest = _job(chosen, jobs[0])
        return [f"    await {first}", *(f"    {line}" for line in rest)]
    lines = ["    await step.parallel("]
    for job in jobs:
        told = _job(chosen, job)
        lines += [f"        {line}" for line in [*told[:-1], f"{told[-1]},"]]
    return [*lines, "    )"]


def _job(chosen: Toolchain, job: FirstJob) -> list[str]:
    run = f"SETUP + {_q(job.run)}" if chosen.setup else _q(job.run)
    words = [_q(job.name), f"run={run}"]
    if job.reports:
        words.append(f'reports={{"junit": {_q(job.reports)}}}')
    if chosen.cache:
        words.append("caches=[KEPT]")
    if chosen.hosts:
        words += ['network="egress"', "egress=HOSTS"]
    short = f"step.job({', '.join(words)})"
    # With what stands before and behind it in `parallel`.
    if len(short) <= 79:
        return [short]
    return ["step.job(", *(f"    {word}," for word in words), ")"]


def _q(text: str) -> str:
    return f"'{text}'" if '"' in text and "'" not in text else '"' + text.replace('"', '\\"') + '"'


def _list(values: list[str]) -> str:
    return f"[{', '.join(map(_q, values))}]"
