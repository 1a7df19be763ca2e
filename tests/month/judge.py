"""Judge: whether every head that should have been built was built exactly once, and told right.

A head should have been built if it was a ref's tip for so long that a look must have found it while
the forge answered and the host was up, or if it is one still. Of one that was there for less, or
whose repository is gone, nothing is demanded; but never two Runs, never one of another commit.
"""

from collections import Counter

from ci_host.ports import HistoryStore
from pipelines.events import RunStarted
from pipelines.ids import RunId
from pipelines.run import FINAL, RunState
from pipelines.status import OF_RUN, context_of
from tests.month.forge import FILE, ForgeRepo, Tip
from tests.month.play import GRACE_S, INTERVAL_S, LOOK_S, Month

# A look, the grace, another look; and of a forge that was away the pause that it was let alone for.
FOUND_WITHIN_S = 2 * (INTERVAL_S + GRACE_S + LOOK_S) + 600.0
DAYS_S = 4 * 86_400.0


async def judge(month: Month) -> list[str]:
    """What is wrong; an empty list is a pass."""
    started = await month.started()
    wrong = [f"run {one.run} stands for nothing" for one in started if not one.event.commit]
    built = Counter((one.repo, one.event.ref, one.event.commit, one.pipeline) for one in started)
    wrong += [f"built {count} times: {what}" for what, count in built.items() if count > 1]
    heads = {what[:3] for what in built}
    strangers = {one.id for one in month.forge.repos.values() if one.is_strangers}
    wrong += [f"a stranger was told: {key}" for key in month.forge.told if key[0] in strangers]
    for repo in month.forge.repos.values():
        if repo.is_strangers:
            continue
        tips = {(f"hub/{repo.id}", tip.ref, tip.commit) for tip in repo.heads}
        ours = {head for head in heads if head[0] == f"hub/{repo.id}"}
        wrong += [f"never was a head: {head}" for head in ours - tips]
        for tip in repo.heads:
            head = (f"hub/{repo.id}", tip.ref, tip.commit)
            if _should_be_built(month, repo, tip) and head not in heads:
                wrong.append(f"not built: {repo.name} {tip}")
    return wrong + await _statuses(month)


def _should_be_built(month: Month, repo: ForgeRepo, tip: Tip) -> bool:
    if repo.commits[tip.commit].get(FILE) is None or _is_first(repo, tip):
        return False
    ends = [one for one in (tip.until, repo.deleted_at) if one is not None]
    if not ends:
        return True
    # So long that no outage of the script's, of either side, can have hidden it.
    return min(ends) - tip.since > DAYS_S


def _is_first(repo: ForgeRepo, tip: Tip) -> bool:
    """Whether it may have been there when the repository was looked at first: that is no news."""
    return tip.since < FOUND_WITHIN_S


async def _statuses(month: Month) -> list[str]:
    wrong = []
    runs = await month.started()
    # A run from before a rename tells its commit by the old name, which may be a stranger's by now.
    lost = {
        _place(one) for one in runs if month.forge.named(one.repo_name) is not _repo(month, one)
    }
    for started in runs:
        repo, place = _repo(month, started), _place(started)
        state = await _state(month.history, RunId(started.run))
        if state not in FINAL:
            wrong.append(f"run {started.run} is {state}")
            continue
        told = month.forge.told.get(place, [])
        if repo.deleted_at is not None or place in lost:
            continue
        failed = {"failure", "error"}
        wanted = {str(OF_RUN[state])} if state is not RunState.FAILED else failed
        if not told or told[-1] not in wanted:
            wrong.append(f"run {started.run} is {state}, and its commit shows {told[-3:]}")
    return wrong


def _repo(month: Month, started: RunStarted) -> ForgeRepo:
    return month.forge.repos[int(started.repo.rpartition("/")[2])]


def _place(started: RunStarted) -> tuple[int, str, str]:
    """Where a run shows how it stands."""
    context = context_of(started.event, started.pipeline)
    return int(started.repo.rpartition("/")[2]), started.event.commit, context


async def _state(history: HistoryStore, run: RunId) -> RunState | None:
    return await history.state(run)
