"""Nothing flows from what is not trusted to what is, nor from a branch to its neighbour."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.cache import Cache, Scope, key_of, scope_written, scopes_read
from pipelines.trust import Tier

REPOS = st.sampled_from(["git/1", "git/2"])
TIERS = st.sampled_from(list(Tier))
DEFAULT = "refs/heads/main"
REFS = st.sampled_from([DEFAULT, "refs/heads/x", "refs/pull/7/head", "refs/tags/v1", ""])
BASES = st.sampled_from(["", "main", "x"])


@given(REPOS, TIERS, REFS, REPOS, TIERS, REFS, BASES)
def test_a_job_reads_only_its_own_the_base_and_the_default_branch_and_never_a_lower_tier(
    repo: str, tier: Tier, ref: str, of: str, writer: Tier, written: str, base: str
) -> None:
    scope = scope_written(of, writer, written)
    read = scopes_read(repo, tier, ref, base, DEFAULT)
    may = repo == of and (
        (writer, written) == (tier, ref)
        or (writer is Tier.TRUSTED and written in (DEFAULT, f"refs/heads/{base}"))
    )
    assert (scope in read) == may
    assert not (tier is Tier.TRUSTED and any(one.tier is Tier.UNTRUSTED for one in read))


@given(REPOS, TIERS, REFS, REPOS, TIERS, REFS)
def test_two_scopes_are_never_kept_in_one_place(
    repo: str, tier: Tier, ref: str, other: str, other_tier: Tier, other_ref: str
) -> None:
    one = Scope(repo=repo, tier=tier, ref=ref)
    two = Scope(repo=other, tier=other_tier, ref=other_ref)
    assert (one == two) == (one.subject == two.subject) == (one.shelf == two.shelf)


def test_a_subject_names_its_tier_in_the_clear_so_that_a_grant_can() -> None:
    key = key_of(Cache(name="pip", paths=["x"]), [])
    scope = scope_written("git/1", Tier.UNTRUSTED, "refs/heads/a b.c>*")
    parts = key.subject(scope).split(".")
    assert parts[:2] == ["cache", "untrusted"]
    assert len(parts) == 6
    assert all(part.isalnum() for part in parts)


FILES = st.lists(
    st.tuples(st.text("ab/", min_size=1), st.text("01", min_size=1)),
    unique_by=lambda one: one[0],
)


@given(FILES, FILES)
def test_a_key_is_of_names_and_contents_in_any_order(
    files: list[tuple[str, str]], others: list[tuple[str, str]]
) -> None:
    cache = Cache(name="pip", paths=["x"])
    same = key_of(cache, files) == key_of(cache, others)
    assert same == (sorted(files) == sorted(others))
