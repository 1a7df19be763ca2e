"""A pull request of a stranger that waits, as the page of trust shows it."""

from ci_host.trust_ports import Held
from pipelines.event import Event, EventKind, PullRequest
from pipelines.trust import Admission, Author, Tier, Verdict
from tests.web.world import COMMIT, World


async def held_pull(world: World, number: int = 7, title: str = "Faster checkout") -> Held:
    """It waits in repository tea/7 from now on."""
    pull = PullRequest(
        number=number, action="opened", title=title, author="sam", base_ref="main", head_ref="fast"
    )
    held = Held(
        repo="tea/7",
        name="me/shop",
        number=number,
        commit=COMMIT,
        event=Event(kind=EventKind.PULL_REQUEST, commit=COMMIT, pull_request=pull),
        verdict=Verdict(
            tier=Tier.UNTRUSTED,
            admission=Admission.APPROVAL,
            author=Author.NEWCOMER,
            why="it is from another repository, and nothing of its author's was ever taken into"
            " this one",
        ),
        at=world.clock(),
    )
    await world.trust.hold(held)
    return held
