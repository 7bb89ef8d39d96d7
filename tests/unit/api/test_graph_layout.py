"""The drawing of the graph: no boxes overlap, edges lead to the right, and large graphs are cut."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controller.api.dashboard.graph_layout import HEIGHT, MAX_NODES, WIDTH, Drawing, draw_graph
from controller.model.graph import Edge, EdgeKind, build_graph
from controller.model.triggers import UpstreamOutcome
from controller.queries.graph import GraphNode, GraphView

PAIRS = st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1]), max_size=25)


def edge(source: str, target: str, on: UpstreamOutcome = UpstreamOutcome.SUCCEEDED) -> Edge:
    return Edge(source=source, target=target, kind=EdgeKind.EVENT, on=on)


def view_of(*edges: Edge) -> GraphView:
    names = {name for one in edges for name in (one.source, one.target)}
    graph = build_graph(names, edges)
    nodes = tuple(GraphNode(name=node.name, kind=node.kind) for node in graph.nodes)
    return GraphView(nodes=nodes, edges=graph.edges, independent=0)


def columns(drawing: Drawing) -> list[list[str]]:
    return [[box.node.name for box in drawing.boxes if box.x == x] for x in sorted({box.x for box in drawing.boxes})]


@given(PAIRS)
def test_boxes_lie_inside_of_the_drawing_and_never_overlap(pairs: set[tuple[int, int]]) -> None:
    view = view_of(*(edge(f"n{source:02}", f"n{target:02}") for source, target in pairs))
    drawing = draw_graph(view)
    assert {box.node.name for box in drawing.boxes} == {node.name for node in view.nodes}
    assert len(drawing.curves) == len(view.edges)
    places = {box.node.name: (box.x, box.y) for box in drawing.boxes}
    for x, y in places.values():
        assert 0 <= x <= drawing.width - WIDTH
        assert 0 <= y <= drawing.height - HEIGHT
    in_order = sorted(places.values())
    assert all(x != x2 or y2 >= y + HEIGHT for (x, y), (x2, y2) in pairwise(in_order))
    assert all(places[one.source][0] < places[one.target][0] for one in view.edges)


def test_an_empty_graph_has_an_empty_drawing() -> None:
    assert draw_graph(view_of()) == Drawing(boxes=(), curves=(), width=0.0, height=0, left_out=0)


def test_the_largest_part_comes_first_and_a_source_stands_before_its_target() -> None:
    drawing = draw_graph(view_of(edge("a", "b"), edge("x", "y"), edge("y", "z"), edge("late", "z")))
    assert columns(drawing) == [["x", "a"], ["late", "y", "b"], ["z"]]


def test_an_outcome_other_than_success_is_a_label() -> None:
    drawing = draw_graph(view_of(edge("a", "b"), edge("a", "c", UpstreamOutcome.FAILED)))
    assert [(curve.title, curve.label) for curve in drawing.curves] == [
        ("b starts when a has succeeded", None),
        ("c starts when a has failed", "failed"),
    ]


def test_one_of_several_upstreams_that_is_enough_has_the_label_any() -> None:
    alternatives = [
        replace(edge(name, "z", on), any=True, upstreams=2)
        for name, on in (("a", UpstreamOutcome.SUCCEEDED), ("b", UpstreamOutcome.FAILED))
    ]
    assert [curve.label for curve in draw_graph(view_of(*alternatives)).curves] == ["any", "failed, any"]


def test_a_large_graph_is_cut_without_dangling_edges() -> None:
    drawing = draw_graph(view_of(*(edge(f"n{index:04}", f"n{index + 1:04}") for index in range(3000))))
    assert len(drawing.boxes) == MAX_NODES
    assert len(drawing.curves) == MAX_NODES - 1
    assert drawing.left_out == 3001 - MAX_NODES


def test_the_part_of_a_large_graph_that_is_drawn_is_around_its_hub() -> None:
    others = (edge(f"m{index:04}", f"m{index + 1:04}") for index in range(400))
    drawing = draw_graph(
        view_of(*(edge("hub", f"n{index:04}") for index in range(500)), edge("n0000", "m0000"), *others)
    )
    assert "hub" in {box.node.name for box in drawing.boxes}
    assert len(drawing.curves) == MAX_NODES - 1


def test_the_box_of_a_long_path_shows_its_pattern() -> None:
    names = ["/srv/a/*.csv", "/srv/exports/of/all/regions/*.csv"]
    files = [Edge(source=name, target="load", kind=EdgeKind.FILE) for name in names]
    graph = build_graph(["load"], files)
    nodes = tuple(GraphNode(name=node.name, kind=node.kind) for node in graph.nodes)
    boxes = draw_graph(GraphView(nodes=nodes, edges=graph.edges, independent=0)).boxes
    assert {box.name for box in boxes} == {"/srv/a/*.csv", "…/all/regions/*.csv", "load"}
