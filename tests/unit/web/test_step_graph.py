"""What followed what, from rows of the read model alone, and where it is drawn."""

from hypothesis import given
from hypothesis import strategies as st

from ci_host.adapters.sql.tables import StepRow
from ci_host.web.graph_layout import NODE_HEIGHT, NODE_WIDTH, layout_of
from ci_host.web.step_graph import ALIKE_MIN, ALL, EDGES_MAX, followed_by, graph_of


def step(key: str, turn: int, begin: float, end: float | None, kind: str = "job") -> StepRow:
    return StepRow(
        run="r", key=key, position=0, kind=kind, state="succeeded" if end else "running",
        started_at=begin, finished_at=end, turn=turn,
    )  # fmt: skip


def test_a_step_follows_what_settled_in_the_turn_that_asked_for_it():
    steps = [step("build", 1, 0, 5), step("test", 2, 5, 9), step("ship", 3, 9, None)]
    assert followed_by(steps) == {"build": [], "test": ["build"], "ship": ["test"]}


def test_what_joins_a_parallel_part_follows_all_of_it():
    steps = [step("unit", 1, 0, 3), step("lint", 1, 0, 7), step("image", 3, 7, None)]
    assert sorted(followed_by(steps)["image"]) == ["lint", "unit"]


def test_branches_of_two_scopes_do_not_follow_each_other_and_are_joined_behind():
    steps = [
        step("eu/build", 1, 0, 3), step("us/build", 1, 0, 2), step("eu/ship", 3, 3, 8),
        step("us/ship", 4, 4, 6), step("tell", 6, 8, None),
    ]  # fmt: skip
    found = followed_by(steps)
    assert found["eu/ship"] == ["eu/build"]
    assert sorted(found["tell"]) == ["eu/ship", "us/ship"]


def test_code_of_one_turn_is_a_chain_and_what_was_asked_for_together_is_not():
    steps = [step("a", 1, 0, 0, "do"), step("b", 1, 0, 0, "do"), step("x", 1, 0, 5),
             step("y", 1, 0, 6)]  # fmt: skip
    assert followed_by(steps) == {"a": [], "b": ["a"], "x": ["b"], "y": ["b"]}


def test_steps_of_one_layer_that_are_alike_are_one_node_that_opens():
    steps = [step("plan", 1, 0, 0, "do"), *(step(f"s{n}", 1, 0, 5) for n in range(ALIKE_MIN))]
    graph = graph_of(steps)
    assert [(one.name, len(one.steps)) for one in graph.nodes] == [("", 1), ("s*", ALIKE_MIN)]
    assert graph.edges == (("plan", "1 s*"),)
    for opened in (["s*"], [ALL]):
        assert len(graph_of(steps, opened).nodes) == 1 + ALIKE_MIN
    assert len(graph_of(steps[:-1]).nodes) == ALIKE_MIN, "one less stays apart"


def test_rounds_of_a_loop_stay_apart_because_one_follows_the_other():
    steps = [step(f"poll#{n}", n, n, n + 1) for n in range(1, 20)]
    assert len(graph_of(steps).nodes) == 19


def test_more_lines_than_anybody_can_follow_are_not_drawn():
    wide = [step(f"a{n}", 1, 0, 5) for n in range(60)]
    wide += [step(f"b{n}", 2, 5, 9) for n in range(60)]
    assert len(graph_of(wide, [ALL]).edges) == 1
    names = [step("x" * n, 1, 0, 5) for n in range(1, 61)]
    names += [step("y" * n, 2, 5, 9) for n in range(1, 61)]
    assert len(graph_of(names).edges) == EDGES_MAX


ROWS = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 9)), max_size=25)


@given(ROWS)
def test_lines_lead_from_left_to_right_and_no_boxes_cover_each_other(rows):
    steps, at = [], 0
    for number, (later, took) in enumerate(rows):
        at += later
        steps.append(step(f"s{number}", at, at, None if took is None else at + took))
    graph = graph_of(steps, [ALL])
    layers = {node.id: node.layer for node in graph.nodes}
    assert all(layers[one] < layers[other] for one, other in graph.edges)
    layout = layout_of(graph)
    places = [(one.x, one.y) for one in layout.nodes]
    assert len(set(places)) == len(places) == len(steps)
    for x, y in places:
        assert 0 <= x <= layout.width - NODE_WIDTH and 0 <= y <= layout.height - NODE_HEIGHT
    assert len(layout.lines) == len(graph.edges)
