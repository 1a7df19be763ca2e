"""caches= of step.job: what is asked, and what is told of a wish that can be none."""

import pytest

from pipelines.cache import Cache


def test_a_cache_is_asked_for_with_what_it_depends_on(play):
    run = play(
        """
        from staunch import Cache
        pip = Cache('pip', '.pip', on=['requirements.lock'], version='3.13')
        await step.job('test', run='pytest', caches=[pip, Cache('x', ['a', 'b'], exact=True)])
        """
    )
    [test] = run.start().commands
    assert test.request.caches == [
        Cache(name="pip", paths=[".pip"], on=["requirements.lock"], version="3.13"),
        Cache(name="x", paths=["a", "b"], exact=True),
    ]


def test_a_job_without_caches_is_asked_as_ever(play):
    plain = play("await step.job('build', run='make')").start().commands[0]
    empty = play("await step.job('build', run='make', caches=[])").start().commands[0]
    assert plain.fingerprint == empty.fingerprint


@pytest.mark.parametrize(
    ("caches", "said"),
    [
        ("Cache('pip', '.pip')", "caches must be a list"),
        ("['pip']", "which is no Cache"),
        ("[Cache('a/b', 'x')]", "a cache's name has 1 to 64"),
        ("[Cache('a', [])]", "cache 'a' has 0 patterns"),
        ("[Cache('a', '.')]", "is no pattern of files"),
        ("[Cache('a', 'x', on=[3])]", "on= of cache 'a' needs a pattern"),
        ("[Cache('a', 'x', version=3)]", "the version of cache 'a'"),
        ("[Cache('a', 'x', exact=1)]", "exact must be True or False"),
        ("[Cache('a', 'x'), Cache('a', 'y')]", "two caches of a job are named 'a'"),
        ("[Cache('a', 'x')] * 21", "a job may have 20 caches"),
    ],
)
def test_a_wish_that_can_be_none_fails_with_what_it_may_be(play, caches, said):
    body = f"""
        from staunch import Cache
        await step.job('test', run='true', caches={caches})
        """
    end = play(body).start().end
    assert said in end.error.message
