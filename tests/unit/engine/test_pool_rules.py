"""Where a job runs, by what the pools take: the whole table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.engine.pool_rules import PoolRules
from ci_host.line_ports import PoolRule
from pipelines.trust import Tier

TRUSTED, UNTRUSTED = Tier.TRUSTED, Tier.UNTRUSTED
RULES = PoolRules(
    [
        PoolRule(pool="default", tier=TRUSTED, untrusted_to="strangers"),
        PoolRule(pool="deploy", tier=TRUSTED),
        PoolRule(pool="strangers", tier=UNTRUSTED),
        PoolRule(pool="ill", tier=TRUSTED, untrusted_to="deploy"),
        PoolRule(pool="circle", tier=TRUSTED, untrusted_to="circle"),
        PoolRule(pool="lax", tier=TRUSTED, untrusted_to="open"),
        PoolRule(pool="removed"),
    ]
)


@pytest.mark.parametrize(
    ("pool", "tier", "runs_in", "why"),
    [
        ("default", TRUSTED, "default", ""),
        ("default", UNTRUSTED, "strangers", ""),
        ("deploy", TRUSTED, "deploy", ""),
        ("deploy", UNTRUSTED, "", "pool deploy takes only jobs of trusted changes"),
        ("strangers", TRUSTED, "", "may be theirs by now; name another pool"),
        ("strangers", UNTRUSTED, "strangers", ""),
        ("ill", UNTRUSTED, "", "to pool deploy, which takes only trusted ones"),
        ("circle", UNTRUSTED, "", "to pool circle, which takes only trusted ones"),
        ("lax", UNTRUSTED, "open", ""),
        ("removed", UNTRUSTED, "removed", ""),
        ("unheard-of", UNTRUSTED, "unheard-of", ""),
        ("unheard-of", TRUSTED, "unheard-of", ""),
    ],
)
def test_a_job_runs_where_the_rules_say(pool, tier, runs_in, why):
    route = RULES.route(pool, tier)
    assert route.pool == runs_in
    assert why in route.why
    assert bool(route.why) == (not route.pool)


POOLS = st.sampled_from(["a", "b", "c"])
SOME = st.lists(
    st.builds(
        PoolRule,
        pool=POOLS,
        tier=st.sampled_from([None, *Tier]),
        untrusted_to=st.one_of(st.just(""), POOLS),
    ),
    max_size=4,
)


@given(SOME, POOLS, st.sampled_from(list(Tier)))
def test_no_rules_bring_a_job_where_it_is_not_taken_or_a_trusted_one_elsewhere(rules, pool, tier):
    runs_in = PoolRules(rules).route(pool, tier).pool
    last = {rule.pool: rule for rule in rules}.get(runs_in)
    assert last is None or last.tier in (None, tier)
    if tier is TRUSTED:
        assert runs_in in ("", pool)


LABELLED = PoolRules(
    [
        PoolRule(pool="a", labels=["linux", "x86"]),
        PoolRule(pool="b", labels=["arm64", "linux"]),
        PoolRule(pool="c", labels=["arm64", "gpu", "linux"], tier=TRUSTED),
        PoolRule(pool="d"),
    ]
)


@pytest.mark.parametrize(
    ("labels", "tier", "alive", "runs_in"),
    [
        (["linux"], TRUSTED, {"a", "b", "c"}, "a"),
        (["linux"], TRUSTED, {"b", "c"}, "b"),
        (["linux"], TRUSTED, set(), "a"),
        (["arm64", "linux"], UNTRUSTED, {"c"}, "b"),
        (["arm64"], TRUSTED, {"c"}, "c"),
        (["gpu"], TRUSTED, {"a"}, "c"),
    ],
)
def test_by_labels_a_job_runs_in_a_pool_that_has_them_all_and_is_alive(
    labels, tier, alive, runs_in
):
    route = LABELLED.find(labels, tier, alive)
    assert route.pool == runs_in
    wanted = ", ".join(labels)
    assert route.words == f"in pool {runs_in}, which has the labels it asks for: {wanted}"


@pytest.mark.parametrize(
    ("labels", "tier", "why"),
    [
        (["gpu"], UNTRUSTED, "only pools for trusted changes have the labels gpu: c"),
        (["mac"], TRUSTED, "no pool has the labels mac; an administrator gives a pool labels"),
        (["arm64", "x86"], TRUSTED, "arm64, x86; pool a has all but arm64; an administrator"),
        (["gpu", "linux", "mac"], TRUSTED, "pool c has all but mac; an administrator gives"),
    ],
)
def test_labels_that_no_pool_has_are_told_with_the_nearest(labels, tier, why):
    route = LABELLED.find(labels, tier, {"a"})
    assert route.pool == ""
    assert why in route.why


@given(st.lists(st.sampled_from(["linux", "arm64", "gpu", "mac"]), min_size=1, unique=True))
def test_a_pool_that_is_found_has_the_labels_and_takes_the_tier(labels):
    rules = {"a": {"linux", "x86"}, "b": {"arm64", "linux"}, "c": {"arm64", "gpu", "linux"}}
    for tier in Tier:
        pool = LABELLED.find(labels, tier, {"c"}).pool
        assert not pool or set(labels) <= rules[pool]
        assert pool != "c" or tier is TRUSTED
