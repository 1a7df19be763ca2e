"""Group: Runs of a Repo that must not run at once, and who of them may. Pure.

The first member holds the group, the others wait: the highest priority first, among equals in the
order of arrival. Every change is a function from one Group to the next, so that whoever reads a
Group knows what is still to be done for it.
"""

from enum import StrEnum

import msgspec

from pipelines.priority import Priority

MEMBERS_MAX = 1_000


class GroupPolicy(StrEnum):
    """What a Run that finds others in its group does.

    queue: waits behind them · cancel: has all of them cancelled, and waits until they are gone ·
    replace: has those cancelled that wait, and waits · reject: does not run.
    """

    QUEUE = "queue"
    CANCEL = "cancel"
    REPLACE = "replace"
    REJECT = "reject"


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Run in a group; `ousted_by`: a later one that wants it cancelled, or empty."""

    run: str
    ousted_by: str = ""
    priority: Priority = Priority.NORMAL


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in it: the holder first."""

    members: list[Member] = []

    def entered(
        self, run: str, policy: GroupPolicy, priority: Priority = Priority.NORMAL
    ) -> "Group":
        """With this Run in it; the same Group if it is in it already, or if it is refused.

        It waits before those that are less important. The holder is never passed.
        """
        if self.holds(run) or self.refuses(run, policy) is not None:
            return self
        first_ousted = {GroupPolicy.CANCEL: 0, GroupPolicy.REPLACE: 1}.get(policy, MEMBERS_MAX)
        kept = [
            member if at < first_ousted or member.ousted_by else _ousted(member, run)
            for at, member in enumerate(self.members)
        ]
        waiting = range(1, len(kept))
        behind = (at for at in waiting if priority.goes_before(kept[at].priority))
        kept.insert(next(behind, len(kept)), Member(run=run, priority=priority))
        return Group(members=kept)

    def left(self, run: str) -> "Group":
        """Without this Run."""
        return Group(members=[member for member in self.members if member.run != run])

    def handed_over(self, run: str, to: str) -> "Group":
        """With `to` in this Run's place; without the Run if that one is in it already."""
        if self.holds(to):
            return self.left(run)
        members = [
            msgspec.structs.replace(member, run=to) if member.run == run else member
            for member in self.members
        ]
        return Group(members=members)

    def holds(self, run: str) -> bool:
        """Whether the Run is in it, first or waiting."""
        return any(member.run == run for member in self.members)

    def refuses(self, run: str, policy: GroupPolicy) -> str | None:
        """Why this Run cannot enter; None: it can, or is in it."""
        if self.holds(run) or not self.members:
            return None
        if policy is GroupPolicy.REJECT:
            return f"run {self.members[0].run} holds it"
        if len(self.members) >= MEMBERS_MAX:
            return f"{MEMBERS_MAX:,} runs are in it already"
        return None


def _ousted(member: Member, by: str) -> Member:
    return msgspec.structs.replace(member, ousted_by=by)
