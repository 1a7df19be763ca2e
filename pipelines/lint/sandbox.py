"""Sandbox: what a plan has not: a clock at import, an environment, files, network, processes.

In `run()` clocks and dice work, and give the same again on replay. While the file is imported there
is no Run yet: the clock says 1970, and the dice fall the same for all.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.project import Project
from pipelines.lint.source import Source


class Lack(NamedTuple):
    """A rule, what it is that there is not, and what to do instead."""

    rule: str
    message: str
    fix: str


_FILES = Lack("no-files", "a plan has no files", "read and write files in a step.job")
_ZONES = Lack("no-time-zones", "the sandbox knows no time zones", "compute with UTC, or in a job")
_NETWORK = Lack("no-network", "a plan has no network", "do it in a step.job with a network")
_PROCESS = Lack("no-process", "a plan cannot start programs", "write: await step.job(name, run=…)")
_THREADS = Lack("no-threads", "a plan has no threads", "write step.parallel(…), or use a step.job")
_SLEEP = Lack("blocking-sleep", "it cannot wait in a plan",
              "write: await step.sleep('name', '10s')")  # fmt: skip
_LOOP = Lack("own-loop", "a plan runs on its loop already", "await it, or use step.parallel(…)")
_ENVIRON = Lack("no-environment", "the environment of a plan is empty",
                "use event.inputs, or env=… and secrets=… of a step.job")  # fmt: skip
_INPUT = Lack("no-terminal", "nobody can type into a plan",
              "write: await step.gate('name', inputs={…})")  # fmt: skip
_EXIT = Lack("no-exit", "this breaks out of the sandbox, which fails the run",
             "return from run(), or raise an error")  # fmt: skip
_HOST = Lack("no-host", "a plan is on no machine that it could ask about", "ask in a step.job")
_CLOCK = Lack("clock-at-import", "while a file is imported the clock says 1970",
              "ask in run(), where it is the run's own time")  # fmt: skip
_DICE = Lack("dice-at-import", "while a file is imported dice fall the same for every run",
             "roll them in run(), where they are the run's own")  # fmt: skip
_ENDS = Lack("exit-at-import", "the file ends its own import, so there is no pipeline",
             "take it out; return from run() to end a run")  # fmt: skip


def _of(lack: Lack, module: str, names: str) -> dict[str, Lack]:
    return {f"{module}.{name}": lack for name in names.split()}


NEVER: Mapping[str, Lack] = {
    **_of(_FILES, "builtins", "open"),
    **_of(_FILES, "io", "open FileIO"),
    **_of(_FILES, "os", "listdir scandir walk mkdir makedirs remove unlink rename replace rmdir"
          " open stat chmod chown symlink link truncate utime"),
    **_of(_FILES, "shutil", "copy copyfile copytree move rmtree which disk_usage"),
    **_of(_FILES, "tempfile", "mkdtemp mkstemp TemporaryDirectory NamedTemporaryFile"
          " TemporaryFile"),
    **_of(_FILES, "glob", "glob iglob"),
    **_of(_ZONES, "zoneinfo", "ZoneInfo"),
    **_of(_NETWORK, "socket", "socket create_connection getaddrinfo gethostbyname create_server"),
    **_of(_NETWORK, "urllib.request", "urlopen urlretrieve"),
    **_of(_NETWORK, "http.client", "HTTPConnection HTTPSConnection"),
    **_of(_NETWORK, "smtplib", "SMTP SMTP_SSL"),
    **_of(_NETWORK, "ftplib", "FTP FTP_TLS"),
    **_of(_NETWORK, "asyncio", "open_connection start_server"),
    **_of(_PROCESS, "os", "system popen fork execv execvp execl execlp spawnv spawnl kill"),
    **_of(_PROCESS, "subprocess", "run call check_call check_output Popen getoutput"
          " getstatusoutput"),
    **_of(_PROCESS, "asyncio", "create_subprocess_exec create_subprocess_shell"),
    **_of(_PROCESS, "multiprocessing", "Process Pool Queue Manager"),
    **_of(_THREADS, "threading", "Thread Timer"),
    **_of(_THREADS, "_thread", "start_new_thread"),
    **_of(_THREADS, "asyncio", "to_thread"),
    **_of(_THREADS, "concurrent.futures", "ThreadPoolExecutor ProcessPoolExecutor"),
    **_of(_SLEEP, "time", "sleep"),
    **_of(_LOOP, "asyncio", "run Runner new_event_loop"),
    **_of(_ENVIRON, "os", "environ environb getenv getenvb"),
    **_of(_INPUT, "builtins", "input breakpoint"),
    **_of(_EXIT, "os", "_exit abort"),
    **_of(_HOST, "platform", "node"),
    **_of(_HOST, "socket", "gethostname getfqdn"),
    **_of(_HOST, "getpass", "getuser"),
    **_of(_HOST, "os", "getlogin"),
    **_of(_HOST, "uuid", "uuid1 getnode"),
}  # fmt: skip
AT_IMPORT: Mapping[str, Lack] = {
    **_of(_CLOCK, "time", "time time_ns monotonic monotonic_ns perf_counter localtime gmtime ctime"
          " strftime"),
    **_of(_CLOCK, "datetime.datetime", "now utcnow today"),
    **_of(_CLOCK, "datetime.date", "today"),
    **_of(_DICE, "random", "random randint randrange choice choices sample shuffle uniform gauss"
          " randbytes getrandbits"),
    **_of(_DICE, "uuid", "uuid4"),
    **_of(_DICE, "secrets", "token_hex token_bytes token_urlsafe choice randbelow"),
    **_of(_DICE, "os", "urandom"),
    **_of(_ENDS, "sys", "exit"),
    **_of(_ENDS, "builtins", "exit quit SystemExit"),
}  # fmt: skip
_PATH_FILES = frozenset(
    {
        "read_text", "read_bytes", "write_text", "write_bytes", "open", "iterdir", "mkdir",
        "unlink", "touch", "rename", "rmdir", "exists", "is_file", "is_dir", "stat", "glob",
        "rglob",
    }
)  # fmt: skip
_PATHS = frozenset({"pathlib.Path", "pathlib.Path.cwd", "pathlib.Path.home"})


def check(source: Source, _: Calls, __: Project) -> Iterator[Finding]:
    """Every name that leads to something which is not there; at import, also what is not yet."""
    for node in source.nodes:
        lack = _lack(source, node)
        if lack is not None and not is_skipped(source, node):
            text = source.segment(node)
            yield source.finding(node, lack.rule, f"{text}: {lack.message}", lack.fix)


def _lack(source: Source, node: ast.AST) -> Lack | None:
    if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return None
    if isinstance(node, ast.Attribute) and node.attr in _PATH_FILES and _is_path(source, node):
        return _FILES
    dotted = source.names.dotted(node)
    if dotted in NEVER:
        return NEVER[dotted]
    if dotted in AT_IMPORT and source.names.function_of(node) is None:
        parent = source.names.parent(node)
        is_used = isinstance(parent, ast.Call) and parent.func is node
        is_raised = isinstance(parent, ast.Raise)
        return AT_IMPORT[dotted] if is_used or is_raised else None
    return None


def _is_path(source: Source, node: ast.Attribute) -> bool:
    """`Path(…).read_text`, also behind a `/`."""
    value = node.value
    while isinstance(value, ast.BinOp):
        value = value.left
    return isinstance(value, ast.Call) and source.names.dotted(value.func) in _PATHS


def is_skipped(source: Source, node: ast.AST) -> bool:
    """Whether it is in what the sandbox never executes: for type checkers, or for a program."""
    inner = node
    for one in source.names.above(node):
        if isinstance(one, ast.If) and inner in one.body:
            test = one.test
            names = {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
            names |= {n.attr for n in ast.walk(test) if isinstance(n, ast.Attribute)}
            if names & {"TYPE_CHECKING", "__name__"}:
                return True
        inner = one
    return False
