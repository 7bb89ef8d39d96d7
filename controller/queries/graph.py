"""The graph of dependencies with the state of each deployment: for `controller graph`, the API and the dashboard.

The running controller builds it from its cached list of deployments, the command line from the state.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from controller.model import extend
from controller.model.deployments import Deployment
from controller.model.graph import Edge, Node, build_graph, edges_of, neighbourhood
from controller.model.runs import RunState
from controller.queries.deployments import DeploymentState, DeploymentView, base_row, list_deployments
from controller.records import dataclass
from controller.store import Transaction, inventory
from controller.store.name_lookup import not_active

KEYS = ("after", "on")
"""The keys of documents that make edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode(Node):
    """A node. A deployment has a `state`, and the id and the state of its newest run if it has any."""

    state: DeploymentState | None = None
    run_id: str | None = None
    run_state: RunState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphView:
    """The nodes that have an edge, sorted by name, and all edges. `independent` counts the deployments without one."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[Edge, ...]
    independent: int


def read_graph(tx: Transaction, now: datetime, name: str | None = None) -> GraphView:
    """Return the graph of the active deployments, or the part around one of them. Raises NotFoundError."""
    if name is not None and inventory.find(tx, name) is None:
        raise not_active(tx, name)
    entries = {entry.name: entry for key in KEYS for entry in inventory.entries_with_key(tx, key)}
    edges = (edge for entry in entries.values() for edge in base_row(entry).edges)
    return view_graph(list_deployments(tx, now), edges, name)


def declared_graph(deployments: Iterable[Deployment], name: str | None = None) -> GraphView:
    """Return the graph of these deployments, or the part around one of them, without states."""
    declared = list(deployments)
    names = [deployment.name for deployment in declared]
    return _view(names, (edge for deployment in declared for edge in edges_of(deployment)), {}, name)


def view_graph(rows: Iterable[DeploymentView], edges: Iterable[Edge], name: str | None = None) -> GraphView:
    """Return the graph of these deployments and edges; with `name`, what it depends on and what depends on it."""
    by_name = {row.name: row for row in rows}
    return _view([row.name for row in by_name.values() if row.observed_generation], edges, by_name, name)


def _view(
    names: Collection[str], edges: Iterable[Edge], rows: Mapping[str, DeploymentView], name: str | None
) -> GraphView:
    graph = build_graph(names, edges)
    if name is not None:
        graph = neighbourhood(graph, name)
    nodes = tuple(_node(node, rows.get(node.name)) for node in graph.nodes)
    return GraphView(nodes=nodes, edges=graph.edges, independent=graph.independent)


def _node(node: Node, row: DeploymentView | None) -> GraphNode:
    if row is None:
        return extend(GraphNode, node)
    run = row.last_run
    return extend(
        GraphNode,
        node,
        state=row.state,
        run_id=None if run is None else run.id,
        run_state=None if run is None else run.state.public,
    )
