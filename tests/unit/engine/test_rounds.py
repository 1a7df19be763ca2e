"""Looks are spread over the interval, soon for who is new, and rare at what fails."""

from itertools import pairwise

from ci_host.engine.rounds import FIRST_LOOKS_PER_S, Pauses, Rounds

INTERVAL = 300.0


def played(rounds: Rounds, repos: list[str], until: float, began: float = 0.0) -> dict:
    """Look at whoever is due, each second; answers when each was looked at."""
    looks: dict[str, list[float]] = {repo: [] for repo in repos}
    now = began
    while now < until:
        rounds.meet(repos, now)
        for repo in rounds.due(now):
            looks[repo].append(now)
            rounds.again(repo, now)
        now += 1.0
    return looks


def test_everybody_is_looked_at_once_in_every_interval_and_never_all_at_once():
    repos = [f"forge/{number}" for number in range(1_000)]
    looks = played(Rounds(INTERVAL, 0.0), repos, 10 * INTERVAL)
    first_round = 1_000 / FIRST_LOOKS_PER_S
    for times in looks.values():
        assert times[0] <= first_round + 1
        assert all(later - earlier <= INTERVAL + 1 for earlier, later in pairwise(times))
        assert len(times) in (10, 11)
    per_second: dict[float, int] = {}
    for times in looks.values():
        for at in times[1:]:
            per_second[at] = per_second.get(at, 0) + 1
    # 3.3 on average.
    assert max(per_second.values()) <= 14


def test_one_that_is_new_is_looked_at_at_once():
    rounds = Rounds(INTERVAL, 0.0)
    played(rounds, ["forge/1"], 500.0)
    assert played(rounds, ["forge/1", "forge/2"], 502.0, 500.0)["forge/2"] == [500.0]


def test_one_that_is_looked_at_is_due_again_only_when_it_is_given_back():
    rounds = Rounds(INTERVAL, 0.0)
    rounds.meet(["forge/1"], 0.0)
    assert rounds.due(0.0) == ["forge/1"]
    assert rounds.due(10 * INTERVAL) == []
    rounds.at("forge/1", 7.0)
    assert rounds.due(6.9) == []
    assert rounds.due(7.0) == ["forge/1"]


def test_the_moment_of_a_repository_is_its_own_and_always_ahead():
    rounds = Rounds(INTERVAL, 1_000.0)
    first = rounds.again("forge/1", 1_000.0)
    assert 1_000.0 < first <= 1_000.0 + INTERVAL
    assert rounds.again("forge/1", first) == first + INTERVAL
    assert rounds.again("forge/1", first - 0.001) == first
    assert rounds.again("forge/2", 1_000.0) != first


def test_what_fails_is_let_alone_twice_as_long_each_time_up_to_a_limit():
    pauses = Pauses(30.0, 600.0)
    assert [pauses.failed("forge", 0.0) for _ in range(7)] == [30, 60, 120, 240, 480, 600, 600]
    assert pauses.until("forge") == 600.0
    assert pauses.until("other") < 0.0
    assert pauses.is_in_doubt("forge") and not pauses.is_in_doubt("other")


def test_one_success_is_enough_to_be_trusted_again():
    pauses = Pauses(30.0, 600.0)
    for _ in range(5):
        pauses.failed("forge", 0.0)
    pauses.went_well("forge")
    assert not pauses.is_in_doubt("forge")
    assert pauses.failed("forge", 0.0) == 30.0


def test_a_thousand_failures_in_a_row_are_counted_without_harm():
    pauses = Pauses(30.0, 600.0)
    assert {pauses.failed("forge", 0.0) for _ in range(2_000)} <= {30, 60, 120, 240, 480, 600}
