"""A world of repositories whose refs move, on memory ports, with a clock that a test moves."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ci_host.adapters.memory.names import (
    MemoryBook,
    MemoryDeeds,
    MemoryNames,
    MemoryOwnerSettings,
)
from ci_host.adapters.memory.sights import MemoryHearsay, MemorySights
from ci_host.engine.attention import Attention, Heeded
from ci_host.engine.change_lists import ChangeLists
from ci_host.engine.reconciler import Reconciler
from ci_host.engine.ref_news import Look, RefNews
from ci_host.engine.renames import Renames
from ci_host.ref_ports import SeenRef, Word
from pipelines.event import Event, EventKind, PullRequest
from pipelines.repo import Connection, ForgeKind, Repo
from tests.engine.crashes import Life
from webhooks.forge import Changed, Later, Refused
from webhooks.memory import MemoryInbox
from webhooks.reconciled import parse_reconciled

MAIN = "refs/heads/main"
NOON = 1_000_080_000.0
GRACE, INTERVAL = 30.0, 300.0


def commit_of(text: str) -> str:
    """A commit id, the same for the same text."""
    return text.encode().hex().ljust(40, "0")


def repo_of(name: str, connection: str = "forge") -> Repo:
    """A repository that is registered, on a connection."""
    return Repo(
        id=f"{connection}/{name}",
        connection=connection,
        external_id=name,
        name=f"acme/{name}",
        clone_url=f"https://{connection}.example/{name}.git",
    )


@dataclass
class MemoryRefs:
    """See RefSource. `failures`: what asking for a Repo, or for any of a Connection, raises."""

    repos: dict[str, dict[str, SeenRef]] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def refs(self, repo: Repo) -> dict[str, SeenRef]:
        self.asked.append(repo.id)
        for name in (repo.id, repo.connection):
            if name in self.failures:
                raise self.failures[name]
        return dict(self.repos.get(repo.id, {}))

    def push(self, repo: Repo, ref: str, commit: str, tag_object: str = "") -> None:
        """The ref leads there now; an empty commit: it is gone."""
        refs = self.repos.setdefault(repo.id, {})
        refs.pop(ref, None)
        if commit:
            refs[ref] = SeenRef(commit=commit, object=tag_object or commit)


@dataclass
class MemoryPulls:
    """See PullSource. `refusals`: what is said of a Repo's instead."""

    repos: dict[str, list[Event]] = field(default_factory=dict)
    refusals: dict[str, Later | Refused] = field(default_factory=dict)

    async def open_pulls(self, repo: Repo) -> list[Event] | Later | Refused | None:
        return self.refusals.get(repo.id) or self.repos.get(repo.id)

    def open(self, repo: Repo, number: int, commit: str, *, is_fork: bool = False) -> None:
        """A pull request is open, and at this commit."""
        others = [one for one in self.repos.get(repo.id, []) if one.ref != pull_ref(number)]
        request = PullRequest(
            number=number,
            action="",
            base_ref="main",
            head_ref=f"head-{number}",
            is_fork=is_fork,
        )
        event = Event(
            kind=EventKind.PULL_REQUEST, ref=pull_ref(number), commit=commit, pull_request=request
        )
        self.repos[repo.id] = [*others, event]

    def close(self, repo: Repo, number: int) -> None:
        """It is open no more."""
        self.repos[repo.id] = [one for one in self.repos[repo.id] if one.ref != pull_ref(number)]


@dataclass
class MemoryChanges:
    """See ChangeSource. `stamps`: by the ids of Repos; a Repo that is not in it is in no list.
    `answer`: what is said instead."""

    stamps: dict[str, float] = field(default_factory=dict)
    pulls: dict[str, float] = field(default_factory=dict)
    answer: Changed | Later | Refused | None = None
    heads: bool = False
    asked: list[tuple[str, float, bool]] = field(default_factory=list)

    def place(self, repo: Repo) -> str:
        return repo.connection if repo.id in self.stamps else ""

    async def changed(
        self, repo: Repo, since: float, *, whole: bool
    ) -> Changed | Later | Refused | None:
        self.asked.append((repo.connection, since, whole))
        if self.answer is not None:
            return self.answer
        ours = {id: at for id, at in self.stamps.items() if id.startswith(f"{repo.connection}/")}
        return Changed(
            {id.partition("/")[2]: at for id, at in ours.items() if whole or at >= since},
            {id.partition("/")[2]: at for id, at in self.pulls.items() if at >= since},
            heads=self.heads,
        )


def pull_ref(number: int) -> str:
    """Where the head of a pull request is kept."""
    return f"refs/pull/{number}/head"


class RefWorld:
    """`news` and `reconciler` are of one life; the ports stay."""

    def __init__(self, *repos: Repo) -> None:
        self.time = NOON
        self.source = MemoryRefs()
        self.pulls = MemoryPulls()
        self.changes = MemoryChanges()
        self.sights = MemorySights()
        self.hearsay = MemoryHearsay()
        self.inbox = MemoryInbox()
        self.repos = {repo.id: repo for repo in repos}
        # Without an API, unless a test says what it would say.
        self.names, self.deeds = MemoryNames(), MemoryDeeds()
        self.connections = {
            repo.connection: Connection(id=repo.connection, kind=ForgeKind.GITEA) for repo in repos
        }
        self.renames = self.new_renames()
        self.news = self.new_news()
        self.reconciler = self.new_reconciler()

    def new_news(
        self, life: Life | None = None, missed: Callable[[str], None] = lambda _repo: None
    ) -> RefNews:
        """As after a restart, on the ports as this life sees them."""
        port = life.port if life is not None else lambda one: one
        return RefNews(
            port(self.sights),
            port(self.hearsay),
            port(self.inbox),
            self.renames.check,
            missed=missed,
            grace_s=GRACE,
            now=lambda: self.time,
            elapsed=lambda: self.time,
        )

    def new_renames(self) -> Renames:
        """As after a restart."""
        return Renames(
            self.names,
            MemoryBook(self.repos),
            MemoryOwnerSettings(),
            self.deeds,
            now=lambda: self.time,
            elapsed=lambda: self.time,
        )

    def new_reconciler(self) -> Reconciler:
        """As after a restart."""
        self.attention = Attention(INTERVAL, now=lambda: self.time, elapsed=lambda: self.time)
        self.lists = ChangeLists(
            self.changes,
            self.repos,
            self.attention,
            interval_s=INTERVAL,
            elapsed=lambda: self.time,
        )
        return Reconciler(
            self.source,
            self.pulls,
            self.new_news(missed=self.lists.doubt),
            self.sights,
            self.repos,
            self.connections,
            self.attention,
            self.lists,
            self.renames,
            interval_s=INTERVAL,
            now=lambda: self.time,
            elapsed=lambda: self.time,
        )

    async def take(self, repo: Repo, news: RefNews | None = None) -> bool:
        """Look at one Repo's refs now; answers whether it is to be looked at again soon."""
        pulls = await self.pulls.open_pulls(repo)
        assert not isinstance(pulls, Later | Refused), "a look has what could be asked for"
        look = Look(self.time, self.source.refs(repo), pulls)
        return await (news or self.news).take(repo, ForgeKind.GITEA, look)

    async def tell(self, repo: Repo, ref: str, commit: str) -> None:
        """A Delivery of the forge's tells of this."""
        heeded = Heeded(self.hearsay, self.attention)
        await heeded.tell(Word(repo=repo.id, ref=ref, commit=commit, at=self.time))

    def events(self) -> list[Event]:
        """Those of the Deliveries that were recorded, in their order."""
        return [
            parsed.event
            for delivery in self.inbox.deliveries.values()
            for parsed in parse_reconciled(delivery)
        ]

    def told(self) -> list[tuple[str, str, str]]:
        """What happened to which ref, and its commit."""
        return [(event.kind, event.ref, event.commit) for event in self.events()]
