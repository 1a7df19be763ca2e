"""MemoryComments: what is written under pull requests, in memory, for tests."""

from ci_host.comment_ports import CommandAnswer, PullReport, TakenCommand
from ci_host.ports import Conflict

_Key = tuple[str, str, int]


class MemoryComments:
    """See CommentBook."""

    def __init__(self) -> None:
        self.reports: dict[_Key, tuple[int, PullReport]] = {}
        self.answers: dict[tuple[str, str, str], CommandAnswer] = {}
        self.commands: dict[tuple[str, str], TakenCommand] = {}
        self._sequence = 0

    async def read(self, connection: str, repo: str, number: int) -> tuple[int, PullReport | None]:
        return self.reports.get((connection, repo, number), (0, None))

    async def write(self, report: PullReport, *, after: int) -> None:
        key = (report.connection, report.repo, report.number)
        if (newest := (await self.read(*key))[0]) != after:
            raise Conflict(f"the newest report of {key} is {newest}, not {after}")
        self._sequence += 1
        self.reports[key] = (self._sequence, report)

    async def answer(self, answer: CommandAnswer) -> None:
        self.answers.setdefault((answer.connection, answer.repo, answer.comment), answer)

    async def taken(self, repo: str, wish: str) -> TakenCommand | None:
        return self.commands.get((repo, wish))

    async def take(self, command: TakenCommand) -> TakenCommand:
        return self.commands.setdefault((command.repo, command.wish), command)

    async def finish(self, command: TakenCommand) -> None:
        self.commands[command.repo, command.wish] = command
