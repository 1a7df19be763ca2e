"""NatsComments: what is written under pull requests, on JetStream. Implements CommentBook."""

from collections.abc import Callable

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, Refused, expected
from ci_host.adapters.nats.consumer import ConsumerRule, Delivered, NatsQueue
from ci_host.comment_ports import CommandAnswer, PullReport, TakenCommand
from ci_host.ports import Unavailable

Written = PullReport | CommandAnswer


class NatsComments:
    """See CommentBook."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, connection: str, repo: str, number: int) -> tuple[int, PullReport | None]:
        subject = subjects.pull_report(connection, repo, number)
        stored = await self._bus.newest(subjects.COMMENTS, subject)
        if stored is None:
            return 0, None
        return stored.sequence, msgspec.json.decode(stored.body, type=PullReport)

    async def write(self, report: PullReport, *, after: int) -> None:
        subject = subjects.pull_report(report.connection, report.repo, report.number)
        try:
            await self._bus.publish(subject, msgspec.json.encode(report), expected(after))
        except Refused as error:
            # A full disk, say: nobody who tells of a pull request is to end because of it.
            raise Unavailable(str(error)) from error

    async def answer(self, answer: CommandAnswer) -> None:
        subject = subjects.command_answer(answer.connection, answer.repo, answer.comment)
        try:
            await self._bus.put_once(subject, msgspec.json.encode(answer))
        except Refused as error:
            raise Unavailable(str(error)) from error

    async def taken(self, repo: str, wish: str) -> TakenCommand | None:
        subject = subjects.taken_command(repo, wish)
        stored = await self._bus.newest(subjects.COMMENTS, subject)
        return None if stored is None else msgspec.json.decode(stored.body, type=TakenCommand)

    async def take(self, command: TakenCommand) -> TakenCommand:
        subject = subjects.taken_command(command.repo, command.wish)
        try:
            if await self._bus.put_once(subject, msgspec.json.encode(command)):
                return command
        except Refused as error:
            raise Unavailable(str(error)) from error
        stands = await self.taken(command.repo, command.wish)
        assert stands is not None, "there is one: it was in the way"
        return stands

    async def finish(self, command: TakenCommand) -> None:
        subject = subjects.taken_command(command.repo, command.wish)
        try:
            await self._bus.publish(subject, msgspec.json.encode(command))
        except Refused as error:
            raise Unavailable(str(error)) from error


def comments_of(
    bus: Bus, connection: str, name_of: Callable[[str, str], str]
) -> NatsQueue[Written]:
    """What is owed to one Connection: one at a time, so that nothing older overtakes a newer.

    `name_of`: what a Repo of this id is called when it is told, which was called so: under an old
    name there may be somebody else's.
    """
    rule = ConsumerRule(
        subjects.COMMENTS,
        f"comments-{connection}",
        (f"comment.{connection}.>",),
        in_flight_max=1,
    )

    def decoded(got: Delivered) -> Written:
        written: Written = msgspec.json.decode(got.body, type=Written)
        name = name_of(written.repo, written.repo_name)
        return msgspec.structs.replace(written, repo_name=name)

    return NatsQueue(bus, rule, decoded)
