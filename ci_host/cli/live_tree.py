"""Live tree: what is under way, in the last lines of a terminal, for as long as it is.

What is printed meanwhile stands above it. It goes away when somebody is asked something, and at
every end, so that what comes next has the terminal for itself. Elsewhere than on a terminal there
is none. What stands in it is `under_way.py`'s.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text

from ci_host.cli.client import Client
from ci_host.cli.endings import Endings
from ci_host.cli.log_tails import LogTails
from ci_host.cli.plain import escape
from ci_host.cli.under_way import Fitting, fitting, rows_of

# Times are told in seconds.
DRAWN_A_SECOND = 2


@dataclass(slots=True)
class LiveTree:
    """A context. It is drawn by a thread of its own, which sees what `show` was given last."""

    console: Console
    client: Client
    _known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, init=False)
    _tails: LogTails = field(init=False)
    _live: Live | None = field(default=None, init=False)
    _endings: Endings = field(default_factory=Endings, init=False)

    def __post_init__(self) -> None:
        self._tails = LogTails(self.client)

    def __enter__(self) -> "LiveTree":
        if self.is_there:
            self._endings.begin()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            self._stop()
        finally:
            self._endings.end()

    @property
    def is_there(self) -> bool:
        """Whether this is a terminal that can draw: what only it tells, others must print."""
        return self.console.is_interactive and self.console.file.isatty()

    def show(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """These are the runs, in detail, as they are by now."""
        going = [run for run in known.values() if run["finished_at"] is None]
        if not going:
            # Nothing has no lines, and one that is drawn with none leaves an empty one behind.
            self._stop()
            return
        self._known = dict(known)
        if self.is_there and self._live is None:
            with self._endings.drawing():
                self._live = self._begun()

    def say(self, words: str) -> None:
        """Print a line, or several, above it. A terminal breaks them, not we: others search them,
        and copy them."""
        with self._endings.drawing():
            self.console.print(words, highlight=False, soft_wrap=True)

    def read_logs(self) -> None:
        """Read on in the logs of the jobs that are shown."""
        if self._live is not None:
            self._tails.look([row.job for row in self._fitting(time.time()).rows if row.job])

    @contextmanager
    def away(self) -> Iterator[None]:
        """While somebody else has the terminal; it comes again with the next `show`."""
        self._stop()
        yield

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        found = self._fitting(time.time())
        for row in found.rows:
            indent = "  " * row.depth
            yield _line(f"{indent}{row.words}")
            for line in self._tails.newest(row.job, found.tail_lines):
                yield _line(f"{indent}  [dim]│ {escape(line)}[/]")
        if found.left_out:
            yield _line(f"  [dim]{found.left_out}[/]")

    def _fitting(self, now: float) -> Fitting:
        return fitting(rows_of(self._known, now), self.console.size.height)

    def _stop(self) -> None:
        with self._endings.drawing():
            live, self._live = self._live, None
            if live is not None:
                live.stop()

    def _begun(self) -> Live:
        live = Live(
            self,
            console=self.console,
            refresh_per_second=DRAWN_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start(refresh=True)
        return live


def _line(words: str) -> Text:
    """One line of the terminal, whatever is in it: the next drawing begins so many lines above."""
    line = Text.from_markup(words, emoji=False, overflow="ellipsis")
    line.no_wrap = True
    return line
