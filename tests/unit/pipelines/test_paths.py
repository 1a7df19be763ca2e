"""Which changes a trigger wants that names paths."""

import pytest

from pipelines.paths import COMPARED_MAX, has_paths, is_touched


def trigger(**fields):
    return {"on": "push", "branches": [], **fields}


@pytest.mark.parametrize(
    ("fields", "changed", "wants"),
    [
        ({"paths": ["src/*"]}, ["src/deep/a.py"], True),
        ({"paths": ["src/*"]}, ["docs/a.md", "srcs/a"], False),
        ({"paths": ["*.md", "src/*"]}, ["docs/a.md"], True),
        ({"paths": ["README"]}, ["readme"], False),
        ({"paths": ["src/*"]}, [], False),
        ({"paths_ignore": ["docs/*"]}, ["docs/a.md"], False),
        ({"paths_ignore": ["docs/*"]}, ["docs/a.md", "b"], True),
        ({"paths_ignore": ["docs/*"]}, [], False),
        ({"paths": ["src/*"], "paths_ignore": ["*.md"]}, ["src/a.md", "b"], False),
        ({"paths": ["src/*"], "paths_ignore": ["*.md"]}, ["src/a.md", "src/b"], True),
        ({"paths": ["-rf"]}, ["-rf"], True),
        ({"paths": ["a?b"]}, ["a\nb"], True),
        ({"paths": ["src/*"]}, ["src/\udcff"], True),
    ],
)
def test_a_trigger_wants_a_change_by_its_paths(fields, changed, wants):
    assert has_paths([trigger(**fields)])
    assert is_touched([trigger(**fields)], changed) is wants


def test_one_of_several_declarations_is_enough_and_one_without_paths_wants_all():
    two = [trigger(paths=["a"]), trigger(paths=["b"])]
    assert is_touched(two, ["b"]) and not is_touched(two, ["c"])
    assert not has_paths([trigger(paths=["a"]), trigger()])
    assert not has_paths([])


@pytest.mark.parametrize("said", ["src", 7, None, {"a": 1}, [7, None]])
def test_what_is_no_list_of_texts_is_as_if_it_were_not_said(said):
    assert not has_paths([trigger(paths=said)])
    assert is_touched([trigger(paths=said)], ["a"])


def test_a_change_that_is_too_large_to_be_compared_is_wanted():
    globs = ["none"] * 1_000
    at_the_limit = ["a"] * (COMPARED_MAX // 1_000)
    assert not is_touched([trigger(paths=globs)], at_the_limit)
    assert is_touched([trigger(paths=globs)], [*at_the_limit, "a"])


def declared(line: str) -> list[dict[str, object]]:
    """What a pipeline file with this line declares."""
    module: dict[str, object] = {}
    exec(f"from staunch import on\n{line}", module)
    found = module["__staunch_triggers__"]
    assert isinstance(found, list)
    return found


def test_paths_are_declared_beside_branches_and_only_where_they_are_given():
    assert declared("on.push(); on.pull_request(branches=['main'])") == [
        {"on": "push", "branches": []},
        {"on": "pull_request", "branches": ["main"]},
    ]
    assert declared("on.push(paths=['a']); on.pull_request(paths_ignore=['b'])") == [
        {"on": "push", "branches": [], "paths": ["a"]},
        {"on": "pull_request", "branches": [], "paths_ignore": ["b"]},
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("on.push(paths='web/*')", TypeError),
        ("on.push(paths=[7])", TypeError),
        ("on.pull_request(paths=[])", ValueError),
        ("on.push(tags=['v*'], paths=['a'])", ValueError),
    ],
)
def test_paths_that_can_mean_nothing_are_refused_where_they_are_written(line, error):
    with pytest.raises(error):
        declared(line)
