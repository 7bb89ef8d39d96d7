"""Geometry of the graph of deployments: boxes in layers from left to right, and curves between them.

Pure. Each part that is connected has a place of its own, the largest first. The boxes of a layer
have the order of the boxes that they are connected with, so that few curves cross (Sugiyama, Tagawa and Toda 1981); a
curve that passes a layer has a place in it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from controller.model.graph import Edge, Graph, NodeKind, describe_edge, layer_nodes
from controller.model.triggers import UpstreamOutcome
from controller.queries.graph import GraphNode, GraphView

MAX_NODES = 300
WIDTH, HEIGHT = 220, 52
GAP_X, GAP_Y = 76, 16
_PASSING = 10
"""The height of the place that a passing curve has in a layer."""
_MARGIN = 4
_PATH_LENGTH = 19
"""The characters of a path that fit into a box."""
_SWEEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node with its upper left corner."""

    node: GraphNode
    x: float
    y: float

    @property
    def name(self) -> str:
        """The name that fits into the box. The end of a path is kept, because it has the pattern of the files."""
        name = self.node.name
        return f"…{name[1 - _PATH_LENGTH :]}" if self.node.kind is NodeKind.FILE and len(name) > _PATH_LENGTH else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A dependency as SVG path data.

    `label` is the required outcome unless that is success, or `any` if one of several upstreams is enough.
    """

    edge: Edge
    path: str
    title: str
    label: str | None
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A laid-out graph. `left_out` is the number of nodes beyond `MAX_NODES`."""

    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]
    width: float
    height: float
    left_out: int


@dataclass(slots=True, eq=False)
class _Place:
    """A place in a layer: that of a node, or with `name` None that of a passing curve."""

    name: str | None
    layer: int
    before: list["_Place"] = field(default_factory=list)
    after: list["_Place"] = field(default_factory=list)
    y: float = 0

    @property
    def height(self) -> float:
        return _PASSING if self.name is None else HEIGHT

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def draw_graph(view: GraphView) -> Drawing:
    """Lay out the graph, at most `MAX_NODES` nodes of it."""
    nodes = {node.name: node for node in view.nodes}
    boxes: list[Box] = []
    curves: list[Curve] = []
    width = height = 0.0
    for part in _connected_parts(view):
        if len(boxes) == MAX_NODES:
            break
        shown = _beginning(part, MAX_NODES - len(boxes))
        layers, routes = _place(shown)
        _order(layers)
        bottom = _align(layers, height + _MARGIN)
        places = [place for layer in layers for place in layer if place.name is not None]
        boxes += [Box(node=nodes[place.name or ""], x=_x(place), y=round(place.y, 1)) for place in places]
        curves += [_curve(edge, route) for edge, route in zip(shown.edges, routes, strict=True)]
        width = max(width, _x(layers[-1][0]) + WIDTH + _MARGIN)
        height = bottom + 2 * GAP_Y
    return Drawing(
        boxes=tuple(boxes),
        curves=tuple(curves),
        width=width,
        height=round(max(height - 2 * GAP_Y + _MARGIN, 0), 1),
        left_out=len(view.nodes) - len(boxes),
    )


def _connected_parts(view: GraphView) -> list[Graph]:
    """Return the parts of the graph that no edge connects, the largest first."""
    neighbours: dict[str, set[str]] = {node.name: set() for node in view.nodes}
    for edge in view.edges:
        neighbours[edge.source].add(edge.target)
        neighbours[edge.target].add(edge.source)
    parts: list[set[str]] = []
    part_of: dict[str, int] = {}
    for name in neighbours:
        if name in part_of:
            continue
        waiting = [name]
        parts.append(set())
        while waiting:
            current = waiting.pop()
            if current not in part_of:
                part_of[current] = len(parts) - 1
                parts[-1].add(current)
                waiting += neighbours[current]
    edges: list[list[Edge]] = [[] for _ in parts]
    for edge in view.edges:
        edges[part_of[edge.source]].append(edge)
    nodes = {node.name: node for node in view.nodes}
    graphs = [
        Graph(nodes=tuple(nodes[name] for name in sorted(part)), edges=tuple(inner))
        for part, inner in zip(parts, edges, strict=True)
    ]
    return sorted(graphs, key=lambda graph: (-len(graph.nodes), graph.nodes[0].name))


def _beginning(part: Graph, count: int) -> Graph:
    """Return a connected graph, or if it is larger, the `count` nodes that are nearest to the one with most edges."""
    if len(part.nodes) <= count:
        return part
    neighbours: dict[str, list[str]] = {node.name: [] for node in part.nodes}
    for edge in part.edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    start = max(neighbours, key=lambda name: len(neighbours[name]))
    kept = dict.fromkeys([start])
    waiting = deque([start])
    while waiting and len(kept) < count:
        new = [name for name in neighbours[waiting.popleft()] if name not in kept][: count - len(kept)]
        kept.update(dict.fromkeys(new))
        waiting.extend(new)
    return Graph(
        nodes=tuple(node for node in part.nodes if node.name in kept),
        edges=tuple(edge for edge in part.edges if edge.source in kept and edge.target in kept),
    )


def _place(graph: Graph) -> tuple[list[list[_Place]], list[list[_Place]]]:
    """Return the layers of a connected graph, and the places that each of its edges passes."""
    index = {name: number for number, layer in enumerate(layer_nodes(graph)) for name in layer}
    _move_closer(index, graph.edges)
    layers: list[list[_Place]] = [[] for _ in range(max(index.values()) + 1)]
    places = {name: _Place(name, number) for name, number in index.items()}
    for place in places.values():
        layers[place.layer].append(place)
    routes = []
    for edge in graph.edges:
        route = [places[edge.source]]
        for layer in range(route[0].layer + 1, places[edge.target].layer):
            passing = _Place(None, layer)
            layers[layer].append(passing)
            route.append(passing)
        route.append(places[edge.target])
        for first, second in pairwise(route):
            first.after.append(second)
            second.before.append(first)
        routes.append(route)
    return layers, routes


def _move_closer(index: dict[str, int], edges: Iterable[Edge]) -> None:
    """Move nodes that depend on nothing to the layer before the first one that depends on them."""
    dependent = {edge.target for edge in edges}
    closest: dict[str, int] = {}
    for edge in edges:
        if edge.source not in dependent:
            closest[edge.source] = min(closest.get(edge.source, index[edge.target] - 1), index[edge.target] - 1)
    index.update(closest)


def _order(layers: Sequence[list[_Place]]) -> None:
    """Sort each layer by the mean position of the connected boxes in the layer before, then in the one after."""
    for sweep in range(_SWEEPS):
        is_forward = sweep % 2 == 0
        sequence = layers if is_forward else layers[::-1]
        position = {place: number for layer in layers for number, place in enumerate(layer)}
        for layer in sequence:
            keys = {
                place: _mean(place.before if is_forward else place.after, position, position[place]) for place in layer
            }
            layer.sort(key=lambda place: keys[place])
            position.update((place, number) for number, place in enumerate(layer))


def _mean(neighbours: Sequence[_Place], position: Mapping[_Place, int], own: float) -> float:
    return sum(position[place] for place in neighbours) / len(neighbours) if neighbours else own


def _align(layers: Sequence[list[_Place]], top: float) -> float:
    """Set the heights of all places, close to those of the connected ones, from `top` on. Return the lower end."""
    for layer in layers:
        _stack(layer, [0.0] * len(layer))
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wishes = []
            for place in layer:
                neighbours = [*place.before, *place.after]
                middle = sum(one.middle for one in neighbours) / len(neighbours) if neighbours else place.middle
                wishes.append(middle - place.height / 2)
            _stack(layer, wishes)
    first = min(place.y for layer in layers for place in layer)
    for layer in layers:
        for place in layer:
            place.y += top - first
    return max(place.y + place.height for layer in layers for place in layer)


def _stack(layer: Sequence[_Place], wishes: Sequence[float]) -> None:
    """Place a layer in its order without overlaps, so that the mean distance from the preferred heights is zero."""
    end = float("-inf")
    for place, wish in zip(layer, wishes, strict=True):
        place.y = max(wish, end)
        end = place.y + place.height + GAP_Y
    shift = sum(wish - place.y for place, wish in zip(layer, wishes, strict=True)) / len(layer)
    for place in layer:
        place.y += shift


def _curve(edge: Edge, route: Sequence[_Place]) -> Curve:
    """Return the curve from the right side of the first place to the left side of the last one."""
    start = route[0]
    parts = [f"M{_x(start) + WIDTH:g} {start.middle:g}"]
    for place in route[1:]:
        bend = GAP_X / 2
        begin = (_x(start) + WIDTH + bend, start.middle)
        end = (_x(place) - bend, place.middle)
        parts.append(f"C{begin[0]:g} {begin[1]:g} {end[0]:g} {end[1]:g} {_x(place):g} {place.middle:g}")
        if place is not route[-1]:
            parts.append(f"H{_x(place) + WIDTH:g}")
        start = place
    words = [] if edge.on in (None, UpstreamOutcome.SUCCEEDED) else [edge.on.value]
    words += ["any"] if edge.any and edge.upstreams > 1 else []
    last, previous = route[-1], route[-2]
    is_passing = previous.name is None
    return Curve(
        edge=edge,
        path="".join(parts),
        title=describe_edge(edge),
        label=", ".join(words) or None,
        label_x=_x(previous) + WIDTH / 2 if is_passing else _x(last) - GAP_X / 2,
        label_y=round(previous.middle if is_passing else (last.middle + previous.middle) / 2, 1),
    )


def _x(place: _Place) -> float:
    return _MARGIN + place.layer * (WIDTH + GAP_X)
