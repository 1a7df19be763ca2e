"""Trust: whose changes a Run's code may be, and so what its Jobs may have.

Here: the tiers, the policy, and the table by which both are decided. Pure. The facts come from the
Forge's authenticated API, or from git itself; a payload's word is used where neither can be asked,
and then only against the change. What each tier may do is said where it is done: secrets are for
the trusted only, caches flow from the trusted to the others and never back.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from pipelines.event import Event


class Tier(StrEnum):
    """`untrusted`: the code may be of somebody who cannot write to the repository."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


class Author(StrEnum):
    """Who opened a pull request, by what they may do, and did before, in the repository.

    `member`: may write to it. `stranger`: may not. `newcomer`: a stranger of whom it never took
    anything yet. `unknown`: nobody could be asked.
    """

    MEMBER = "member"
    STRANGER = "stranger"
    NEWCOMER = "newcomer"
    UNKNOWN = "unknown"


class Admission(StrEnum):
    """What becomes of a pull request from another repository; the laxer, the further down.

    `refuse`: nothing runs. `approval`: its own pipeline runs, untrusted, when somebody approves
    this very commit. `base`: the pipeline of the branch that it is for runs on it, untrusted.
    `own`: its own pipeline runs, untrusted. `trust`: as if it came from the repository itself.
    """

    REFUSE = "refuse"
    APPROVAL = "approval"
    BASE = "base"
    OWN = "own"
    TRUST = "trust"


class TrustPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How changes of each kind of author are admitted, for all that `scope` names.

    `scope`: empty for the whole installation, a Connection's id, `<connection>:<owner>`, or a
    Repo's id (`<connection>/<external id>`). `approvers`: people and @teams who may approve a
    commit beside the administrators. `removed`: as if it had never been made.
    """

    scope: str = ""
    members: Admission = Admission.BASE
    strangers: Admission = Admission.BASE
    newcomers: Admission = Admission.APPROVAL
    approvers: list[str] = []
    removed: bool = False
    by: str = ""
    at: float = 0.0

    def admission(self, author: Author) -> Admission:
        """Of a change by such an author, from another repository. Who is unknown is new."""
        return {Author.MEMBER: self.members, Author.STRANGER: self.strangers}.get(
            author, self.newcomers
        )


class PullFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the Forge's API, asked by us, says of a pull request as it is now.

    `head_repo` None: deleted. `login`: of its author, to be shown only. `head_ref`: the branch's
    name in the head's repository.
    """

    head_repo: str | None
    base_repo: str
    base_ref: str
    head_commit: str
    author: Author = Author.UNKNOWN
    login: str = ""
    is_open: bool = True
    head_ref: str = ""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has looked at this very commit of a pull request, and lets its pipeline run."""

    repo: str
    number: int
    commit: str
    by: str
    at: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided of a change when its Run began, and why; a part of its History.

    `base`: the commit whose pipeline runs in place of the change's own; empty: its own.
    `scope`: of the policy that decided. `by`: who approved it.
    """

    tier: Tier
    admission: Admission
    why: str
    author: Author = Author.UNKNOWN
    scope: str = ""
    by: str = ""
    base: str = ""

    @property
    def is_held(self) -> bool:
        """Whether it waits for an approval of its commit."""
        return self.admission is Admission.APPROVAL and not self.by


def tier_of(event: Event) -> Tier:
    """By the payload alone, of a Run that began without a Verdict: the head of a pull request lies
    in another repository, or in one that is gone. Names, authors and texts say nothing."""
    return Tier.UNTRUSTED if is_from_elsewhere(event) else Tier.TRUSTED


def is_from_elsewhere(event: Event) -> bool:
    """Whether the payload itself says that the change lies in another repository."""
    request = event.pull_request
    return request is not None and (request.is_fork or request.head_repo is None)


def policy_for(policies: Iterable[TrustPolicy], repo: str, name: str) -> TrustPolicy:
    """The narrowest policy of a Repo: its own, its owner's, its Connection's, the installation's.

    `repo`: its id. `name`: `<owner>/<name>` on its Forge. Where there is none: the default one.
    """
    there = {one.scope: one for one in policies if not one.removed}
    return next((there[scope] for scope in scopes_of(repo, name) if scope in there), TrustPolicy())


def scopes_of(repo: str, name: str) -> list[str]:
    """The scopes that a Repo is in, the narrowest first."""
    connection = repo.partition("/")[0]
    owner = name.rpartition("/")[0]
    return [repo, *([f"{connection}:{owner}"] if owner else []), connection, ""]


def decide(
    facts: PullFacts | None,
    *,
    is_head: bool,
    is_in_repo: bool,
    policy: TrustPolicy,
    approval: Approval | None,
    unasked: str = "",
) -> Verdict:
    """What is done with a pull request's commit. `facts` None: no API told any, `unasked` says why.

    `is_head`: the commit is the one that the facts name; of others git is asked. `is_in_repo`: it
    lies on a branch of the repository itself, as git says. `approval`: of this very commit.
    """
    may_be_ours = facts is None or facts.head_repo == facts.base_repo
    if may_be_ours and (is_head or is_in_repo):
        told = "the forge's API" if is_head else "git"
        return Verdict(
            tier=Tier.TRUSTED,
            admission=Admission.TRUST,
            why=f"its commits lie in the repository itself, as {told} says",
        )
    author = Author.UNKNOWN if facts is None else facts.author
    admission = policy.admission(author)
    return Verdict(
        tier=Tier.TRUSTED if admission is Admission.TRUST else Tier.UNTRUSTED,
        admission=admission,
        why=f"{_origin(facts)}, and {WHO[author]}{f' ({unasked})' if unasked else ''}",
        author=author,
        scope=policy.scope,
        by=approval.by if approval is not None and admission is Admission.APPROVAL else "",
    )


WHO = {
    Author.MEMBER: "its author may write to this one",
    Author.STRANGER: "its author may not write to this one",
    Author.NEWCOMER: "nothing of its author's was ever taken into this one",
    Author.UNKNOWN: "nobody could be asked who its author is",
}


def _origin(facts: PullFacts | None) -> str:
    if facts is None or facts.head_repo == facts.base_repo:
        return "its commit is on no branch of this repository"
    return "its repository is gone" if facts.head_repo is None else "it is from another repository"
