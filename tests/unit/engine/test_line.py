"""Whose job goes next: priority, turns of repos, limits, and what is said to those who wait."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ci_host.engine.line import RELEASED_PER_SLOT, Depth, Line
from ci_host.line_ports import JobLimit, Ticket
from pipelines.ids import JobId
from pipelines.priority import LEVELS, Priority

PLENTY = {"default": 10_000, "gpu": 10_000}


def ticket(
    name: str, repo: str = "a", level: str = "normal", pool: str = "default", place: int = 1
) -> Ticket:
    """A job by its name."""
    return Ticket(
        job=JobId(f"0-run.{name}.1"),
        key=name,
        pool=pool,
        level=Priority(level),
        repo=f"git/{repo}",
        repo_name=repo,
        place=place,
    )


def offered(line: Line, *tickets: Ticket) -> None:
    for number, one in enumerate(tickets, 1):
        line.offer(replace(one, place=number))


class Runners:
    """Releases what may be, and finishes the oldest when it is told to."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.out: list[Ticket] = []
        self._place = 0

    def release(self) -> list[str]:
        """What goes now, in order."""
        names = []
        while (offer := self.line.next()) is not None:
            self._place += 1
            released = ticket(offer.key, offer.repo_name, offer.level, offer.pool, self._place)
            self.line.release(released)
            self.out.append(released)
            names.append(offer.key)
        return names

    def finish(self) -> None:
        self.line.left(self.out.pop(0).place)


def order(line: Line) -> list[str]:
    """All that wait, one after another, each finished before the next."""
    runners, names = Runners(line), []
    while released := runners.release():
        names += released
        while runners.out:
            runners.finish()
    return names


def one_by_one() -> Line:
    return Line(PLENTY, [JobLimit(pool="default", at_once=1)])


def test_the_most_important_goes_first_and_among_equals_of_a_repo_the_oldest() -> None:
    line = one_by_one()
    levels = ["low", "normal", "urgent", "high", "normal", "urgent"]
    offered(line, *(ticket(f"{level}-{n}", level=level) for n, level in enumerate(levels)))
    assert order(line) == ["urgent-2", "urgent-5", "high-3", "normal-1", "normal-4", "low-0"]


def test_a_repo_with_one_job_does_not_wait_for_two_hundred_of_another() -> None:
    line = one_by_one()
    offered(line, *(ticket(f"a{n}", "a") for n in range(200)), ticket("b", "b"))
    assert order(line).index("b") <= 1


def test_repos_take_turns() -> None:
    line = one_by_one()
    tickets = [ticket(f"{repo}{n}", repo) for repo in "abc" for n in range(3)]
    offered(line, *tickets)
    assert order(line) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_slots_are_shared_by_what_repos_have_at_work_not_by_how_often_they_asked() -> None:
    line = Line({"default": 2})
    runners = Runners(line)
    offered(line, *(ticket(f"a{n}", "a") for n in range(4)))
    assert runners.release() == ["a0", "a1", "a2", "a3"]
    offered(line, *(ticket(f"b{n}", "b") for n in range(4)), ticket("a4", "a"))
    for _ in range(2):
        runners.finish()
    assert runners.release() == ["b0", "b1"]


def test_a_job_is_released_when_it_is_nearly_its_turn_and_not_before() -> None:
    line = Line({"default": 2})
    runners = Runners(line)
    offered(line, *(ticket(f"a{n}") for n in range(10)))
    assert len(runners.release()) == 2 * RELEASED_PER_SLOT
    assert line.next() is None
    runners.finish()
    assert runners.release() == ["a4"]


def test_an_urgent_job_is_released_though_others_fill_the_pool() -> None:
    line = Line({"default": 1})
    offered(line, *(ticket(f"a{n}") for n in range(10)))
    assert len(Runners(line).release()) == RELEASED_PER_SLOT
    line.offer(ticket("now", level="urgent", place=99))
    found = line.next()
    assert found is not None and found.key == "now"


def test_nothing_is_released_to_a_pool_without_a_live_runner() -> None:
    line = Line()
    offered(line, ticket("a"), ticket("b", pool="gpu"))
    assert line.next() is None
    line.slots = {"gpu": 1}
    assert Runners(line).release() == ["b"]


def test_limits_of_pool_and_repo_hold_across_each_other() -> None:
    line = Line(PLENTY, [JobLimit(pool="gpu", at_once=2), JobLimit(repo="git/a", at_once=3)])
    runners = Runners(line)
    offered(
        line,
        *(ticket(f"g{n}", "a", pool="gpu") for n in range(4)),
        *(ticket(f"d{n}", "a") for n in range(4)),
        ticket("other", "b"),
    )
    released = runners.release()
    assert Counter(name[0] for name in released) == {"g": 2, "d": 1, "o": 1}
    line.limit(JobLimit(repo="git/a"))
    assert sorted(runners.release()) == ["d1", "d2", "d3"]


def test_a_limit_of_zero_holds_everything_back() -> None:
    line = Line(PLENTY, [JobLimit(pool="gpu", at_once=0)])
    offered(line, ticket("a", pool="gpu"))
    assert line.next() is None


def test_a_job_that_is_offered_again_waits_once_and_not_while_it_is_released() -> None:
    line = Line(PLENTY)
    assert line.offer(ticket("a"))
    assert not line.offer(ticket("a", place=2))
    line.release(ticket("a", place=7))
    assert not line.offer(ticket("a", place=3))
    line.left(7)
    assert line.next() is None
    assert line.offer(ticket("a", place=4))


def test_who_waits_is_told_why() -> None:
    line = Line(
        {"default": 1, "gpu": 1},
        [JobLimit(repo="git/a", at_once=2), JobLimit(pool="gpu", at_once=0)],
    )
    runners = Runners(line)
    offered(line, *(ticket(f"a{n}", "a") for n in range(4)), ticket("g", "b", pool="gpu"))
    assert runners.release() == ["a0", "a1"]
    offered(line, *(ticket(f"b{n}", "b") for n in range(3)))

    def words(name: str) -> str:
        held = line.why(ticket(name).job)
        assert held is not None
        return held.words

    assert words("a1") == "it is next"
    assert words("a3") == "held by the limit of repo a, 2 at once"
    assert words("g") == "held by the limit of pool gpu, 0 at once; 0 before it"
    # One of the two that are released only waits for its slot.
    assert words("b2") == "5 before it"
    assert line.why(JobId("0-run.gone.1")) is None
    default, gpu = line.depths()
    assert default == Depth(pool="default", waiting=5, at_runners=2, slots=1)
    assert gpu == Depth(pool="gpu", waiting=1, at_runners=0, slots=1, limit=0)


JOBS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(LEVELS), st.sampled_from(["default", "gpu"])),
    max_size=40,
)


@given(JOBS, st.integers(0, 3), st.integers(1, 3), st.data())
def test_everything_offered_is_released_once_and_no_limit_is_passed(
    jobs: list[tuple[str, Priority, str]], pool_max: int, repo_max: int, data: st.DataObject
) -> None:
    limits = [JobLimit(pool="gpu", at_once=pool_max), JobLimit(repo="git/a", at_once=repo_max)]
    line = Line({"default": 2, "gpu": 2}, limits)
    runners = Runners(line)
    left = [ticket(f"{n}", *job, place=n) for n, job in enumerate(jobs)]
    released: list[str] = []
    while left or runners.out:
        if left and (not runners.out or data.draw(st.booleans())):
            line.offer(left.pop(0))
        elif runners.out:
            runners.finish()
        released += runners.release()
        assert sum(one.pool == "gpu" for one in runners.out) <= pool_max
        assert sum(one.repo == "git/a" for one in runners.out) <= repo_max
    held = {f"{n}" for n, job in enumerate(jobs) if job[2] == "gpu"} if pool_max == 0 else set()
    assert sorted([*released, *held]) == sorted(f"{n}" for n in range(len(jobs)))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
def test_no_repo_goes_twice_while_another_waits_without_a_turn(repos: list[str]) -> None:
    line = one_by_one()
    offered(line, *(ticket(f"{repo}{n}", repo) for n, repo in enumerate(repos)))
    left = Counter(repos)
    since: Counter[str] = Counter()
    for name in order(line):
        repo = name[0]
        assert since[repo] <= min((since[one] for one in left if left[one]), default=0)
        since[repo] += 1
        left[repo] -= 1
