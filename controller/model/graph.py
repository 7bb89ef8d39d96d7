"""The graph of dependencies: deployments with `after`, and their files and webhooks.

Pure. `manifests` finds cycles with it, `reconcile` the changes of a plan, and `queries` builds the graph that the
interfaces show.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from enum import StrEnum

from controller.model import INTERNAL, json_key
from controller.model.deployments import Deployment
from controller.model.triggers import UpstreamOutcome
from controller.records import dataclass


class NodeKind(StrEnum):
    """The kind of a node. `missing` is an upstream deployment that is not active."""

    DEPLOYMENT = "deployment"
    FILE = "file"
    WEBHOOK = "webhook"
    MISSING = "missing"


class EdgeKind(StrEnum):
    """The effect of the first node: `gate` releases the due times of the second one, all others start its runs."""

    GATE = "gate"
    EVENT = "event"
    FILE = "file"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A deployment; a watched file, by its path and pattern; or a webhook, by the path of its URL."""

    name: str
    kind: NodeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A dependency of the node `target` on the node `source`.

    `on` is how a run of an upstream deployment has to end, None for a file or a webhook. With `any`, this upstream
    deployment starts a run on its own, without the others.
    """

    source: str = field(metadata=json_key("from"))
    target: str = field(metadata=json_key("to"))
    kind: EdgeKind
    on: UpstreamOutcome | None = None
    any: bool = False
    upstreams: int = field(default=1, compare=False, metadata=INTERNAL)
    """The number of all upstream deployments of `target`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The nodes that have an edge, sorted by name, and all edges. `independent` counts the deployments without one."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    independent: int = 0


def build_graph(names: Collection[str], edges: Iterable[Edge]) -> Graph:
    """Return the graph of the active deployments with these names, and the edges that `edges_of` returns for them."""
    edges = sorted(edges, key=_edge_key)
    kinds = {edge.source: _source_kind(edge, names) for edge in edges}
    kinds |= {edge.target: NodeKind.DEPLOYMENT for edge in edges}
    nodes = tuple(Node(name=name, kind=kinds[name]) for name in sorted(kinds))
    return Graph(nodes=nodes, edges=tuple(edges), independent=sum(name not in kinds for name in names))


def edges_of(deployment: Deployment) -> Iterator[Edge]:
    """Yield what starts or holds back the runs of this deployment, apart from its schedules."""
    kind = EdgeKind.GATE if deployment.schedules else EdgeKind.EVENT
    for upstream in deployment.after.upstreams:
        yield Edge(
            source=upstream.deployment,
            target=deployment.name,
            kind=kind,
            on=upstream.on,
            any=deployment.after.any,
            upstreams=len(deployment.after.upstreams),
        )
    for file in deployment.files:
        yield Edge(source=f"{file.path.rstrip('/')}/{file.pattern}", target=deployment.name, kind=EdgeKind.FILE)
    for webhook in deployment.webhooks:
        yield Edge(source=f"/hooks/{webhook.name}", target=deployment.name, kind=EdgeKind.WEBHOOK)


def describe_edge(edge: Edge) -> str:
    """Return the dependency as a sentence without a full stop: `report waits until ingest has succeeded`."""
    if edge.kind is EdgeKind.GATE:
        others = f", or another of {edge.upstreams} upstream deployments has finished as required"
        alternative = others if edge.any and edge.upstreams > 1 else ""
        return f"{edge.target} waits until {edge.source} has {edge.on}{alternative}"
    if edge.kind is EdgeKind.EVENT:
        all_of = f", and all of {edge.upstreams} upstream deployments have finished as required"
        condition = all_of if not edge.any and edge.upstreams > 1 else ""
        return f"{edge.target} starts {'whenever' if edge.any else 'when'} {edge.source} has {edge.on}{condition}"
    if edge.kind is EdgeKind.FILE:
        return f"{edge.target} starts for each new file {edge.source}"
    return f"{edge.target} starts for each request to {edge.source}"


def describe_share(edge: Edge) -> str:
    """Return whether all upstream deployments are needed: `all of 3` or `any of 3`; empty if there is only one."""
    return f"{'any' if edge.any else 'all'} of {edge.upstreams}" if edge.upstreams > 1 else ""


def neighbourhood(graph: Graph, name: str) -> Graph:
    """Return the part of the graph that `name` depends on, directly or not, and that depends on it."""
    upstream = _reachable(name, ((edge.target, edge.source) for edge in graph.edges))
    downstream = _reachable(name, ((edge.source, edge.target) for edge in graph.edges))
    names = upstream | downstream
    return Graph(
        nodes=tuple(node for node in graph.nodes if node.name in names),
        edges=tuple(
            edge
            for edge in graph.edges
            if {edge.source, edge.target} <= upstream or {edge.source, edge.target} <= downstream
        ),
    )


def find_cyclic_groups(edges: Mapping[str, Collection[str]]) -> Iterator[frozenset[str]]:
    """Yield the groups of two or more names that all lead to each other (Tarjan 1972, without recursion).

    `edges` has the names that each name leads to.
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_names: dict[str, None] = {}
    for start in edges:
        waiting = [] if start in order else [(start, iter(edges[start]))]
        while waiting:
            name, remaining = waiting[-1]
            if name not in order:
                order[name] = lowest[name] = len(order)
                open_names[name] = None
            following = next(remaining, None)
            if following is None:
                waiting.pop()
                if waiting:
                    parent = waiting[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[name])
                if lowest[name] == order[name]:
                    group = frozenset(_take_until(open_names, name))
                    if len(group) > 1:
                        yield group
            elif following not in order:
                waiting.append((following, iter(edges.get(following, ()))))
            elif following in open_names:
                lowest[name] = min(lowest[name], order[following])


def layer_nodes(graph: Graph) -> list[list[str]]:
    """Return the names of the nodes in layers, so that every edge leads to a later layer.

    A node is in the layer after the last one of the nodes that it depends on. Nodes of a cycle come last, together.
    """
    sources: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    targets: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    for edge in graph.edges:
        sources[edge.target].add(edge.source)
        targets[edge.source].add(edge.target)
    remaining = {name: len(names) for name, names in sources.items()}
    layers: list[list[str]] = []
    layer = [name for name, count in remaining.items() if count == 0]
    while layer:
        layers.append(layer)
        for name in layer:
            del remaining[name]
        counts: dict[str, int] = {}
        for name in layer:
            for target in targets[name]:
                counts[target] = counts.get(target, 0) + 1
        for target, count in counts.items():
            remaining[target] -= count
        layer = sorted(target for target in counts if remaining[target] == 0)
    return [*layers, sorted(remaining)] if remaining else layers


def _take_until(open_names: dict[str, None], last: str) -> Iterator[str]:
    """Remove and yield the newest names, up to and including `last`."""
    name = None
    while name != last:
        name, _ = open_names.popitem()
        yield name


def _reachable(start: str, steps: Iterable[tuple[str, str]]) -> set[str]:
    following: dict[str, list[str]] = {}
    for first, second in steps:
        following.setdefault(first, []).append(second)
    reached, waiting = {start}, [start]
    while waiting:
        new = set(following.get(waiting.pop(), ())) - reached
        reached |= new
        waiting += new
    return reached


def _source_kind(edge: Edge, names: Collection[str]) -> NodeKind:
    if edge.kind is EdgeKind.FILE:
        return NodeKind.FILE
    if edge.kind is EdgeKind.WEBHOOK:
        return NodeKind.WEBHOOK
    return NodeKind.DEPLOYMENT if edge.source in names else NodeKind.MISSING


def _edge_key(edge: Edge) -> tuple[str, str, str]:
    return (edge.source, edge.target, edge.kind)
