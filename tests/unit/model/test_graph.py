"""The graph of deployments: its edges, its parts, its cycles and its layers."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from controller.model.deployments import CommandTarget, Deployment
from controller.model.graph import (
    Edge,
    EdgeKind,
    Graph,
    Node,
    NodeKind,
    build_graph,
    describe_edge,
    describe_share,
    edges_of,
    find_cyclic_groups,
    layer_nodes,
    neighbourhood,
)
from controller.model.policies import EnvSecret
from controller.model.schedules import Interval, Schedule
from controller.model.triggers import After, FileTrigger, Upstream, UpstreamOutcome, WebhookTrigger

EDGES = st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7), max_size=4))


def deployment(name: str, *after: str, is_scheduled: bool = False, **more: object) -> Deployment:
    schedule = Schedule(id="hourly", rule=Interval(every=timedelta(hours=1)))
    return Deployment(
        name=name,
        target=CommandTarget(argv=("a",)),
        file=f"deployments/{name}.yaml",
        line=1,
        document={},
        spec_digest="sha256:1",
        schedules=(schedule,) if is_scheduled else (),
        after=After(upstreams=tuple(Upstream(deployment=upstream) for upstream in after)),
        **more,  # type: ignore[arg-type]
    )


def whole_graph(*deployments: Deployment) -> Graph:
    return build_graph({one.name for one in deployments}, [edge for one in deployments for edge in edges_of(one)])


def graph_of(edges: dict[str, list[str]]) -> Graph:
    """A graph by the names that each node depends on."""
    return whole_graph(*(deployment(name, *upstreams) for name, upstreams in edges.items()))


def test_a_schedule_makes_after_a_gate_and_without_one_it_is_an_event() -> None:
    graph = whole_graph(deployment("a"), deployment("b", "a"), deployment("c", "a", is_scheduled=True))
    assert graph.edges == (
        Edge(source="a", target="b", kind=EdgeKind.EVENT, on=UpstreamOutcome.SUCCEEDED),
        Edge(source="a", target="c", kind=EdgeKind.GATE, on=UpstreamOutcome.SUCCEEDED),
    )
    assert [node.name for node in graph.nodes] == ["a", "b", "c"]


def test_an_edge_says_whether_the_other_upstreams_are_needed_too() -> None:
    alternatives = After(upstreams=(Upstream(deployment="a"), Upstream(deployment="b")), any=True)
    graph = whole_graph(
        deployment("all", "a", "b"),
        replace(deployment("any"), after=alternatives),
        replace(deployment("any-gate", is_scheduled=True), after=alternatives),
        deployment("gate", "a", "b", is_scheduled=True),
        deployment("one", "a"),
    )
    assert [(describe_edge(edge), describe_share(edge)) for edge in graph.edges if edge.source == "a"] == [
        ("all starts when a has succeeded, and all of 2 upstream deployments have finished as required", "all of 2"),
        ("any starts whenever a has succeeded", "any of 2"),
        (
            "any-gate waits until a has succeeded, or another of 2 upstream deployments has finished as required",
            "any of 2",
        ),
        ("gate waits until a has succeeded", "all of 2"),
        ("one starts when a has succeeded", ""),
    ]


def test_files_webhooks_and_missing_upstreams_are_nodes_and_independent_deployments_are_counted() -> None:
    graph = whole_graph(
        deployment("alone"),
        deployment("load", files=(FileTrigger(path="/srv/inbox/", pattern="*.csv"),)),
        deployment("refund", webhooks=(WebhookTrigger(name="stripe", secret=EnvSecret(env="A")),)),
        deployment("report", "gone"),
    )
    assert {(node.name, node.kind) for node in graph.nodes if node.kind is not NodeKind.DEPLOYMENT} == {
        ("/srv/inbox/*.csv", NodeKind.FILE),
        ("/hooks/stripe", NodeKind.WEBHOOK),
        ("gone", NodeKind.MISSING),
    }
    assert [(edge.source, edge.target, edge.kind) for edge in graph.edges] == [
        ("/hooks/stripe", "refund", EdgeKind.WEBHOOK),
        ("/srv/inbox/*.csv", "load", EdgeKind.FILE),
        ("gone", "report", EdgeKind.EVENT),
    ]
    assert graph.independent == 1


def test_the_neighbourhood_of_a_node_leaves_out_its_siblings() -> None:
    graph = graph_of({"a": [], "b": ["a"], "c": ["b"], "d": ["c"], "sibling": ["a"], "other": ["d", "x"], "x": []})
    part = neighbourhood(graph, "c")
    assert [node.name for node in part.nodes] == ["a", "b", "c", "d", "other"]
    assert [(edge.source, edge.target) for edge in part.edges] == [("a", "b"), ("b", "c"), ("c", "d"), ("d", "other")]


def test_a_node_is_in_the_layer_after_its_last_upstream() -> None:
    graph = graph_of({"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a"], "e": ["c", "d"]})
    assert layer_nodes(graph) == [["a"], ["b", "d"], ["c"], ["e"]]


def test_a_cycle_is_the_last_layer() -> None:
    assert layer_nodes(graph_of({"a": [], "b": ["a", "c"], "c": ["b"]})) == [["a"], ["b", "c"]]


@given(EDGES)
def test_a_cyclic_group_is_the_set_of_names_that_reach_each_other(edges: dict[int, set[int]]) -> None:
    named = {str(name): sorted(map(str, targets)) for name, targets in edges.items()}
    reached = {name: {name, *targets} for name, targets in named.items()}
    for _ in range(8):
        for targets in reached.values():
            targets.update(*(reached.get(target, {target}) for target in list(targets)))
    expected = {
        group
        for name in named
        if len(group := frozenset(other for other in reached[name] if name in reached.get(other, ()))) > 1
    }
    groups = list(find_cyclic_groups(named))
    assert set(groups) == expected
    assert len(groups) == len(expected)


@given(EDGES)
def test_every_node_is_in_one_layer_and_edges_lead_to_later_layers(edges: dict[int, set[int]]) -> None:
    named = {str(name): [str(target) for target in targets if target != name] for name, targets in edges.items()}
    graph = graph_of(named)
    layers = layer_nodes(graph)
    assert sorted(name for layer in layers for name in layer) == sorted(node.name for node in graph.nodes)
    if not list(find_cyclic_groups(named)):
        index = {name: position for position, layer in enumerate(layers) for name in layer}
        assert all(index[edge.source] < index[edge.target] for edge in graph.edges)


def test_a_file_trigger_at_the_root_has_one_slash() -> None:
    graph = whole_graph(deployment("load", files=(FileTrigger(path="/"),)))
    assert graph.nodes[0] == Node(name="/*", kind=NodeKind.FILE)
