"""Formats the graph of deployments as trees for a terminal, as Mermaid, and as DOT. `controller graph` calls it."""

import json
from collections.abc import Iterator, Mapping, Sequence

from controller.model.graph import Edge, EdgeKind, NodeKind, describe_share
from controller.model.triggers import UpstreamOutcome
from controller.queries.deployments import DeploymentState
from controller.queries.graph import GraphNode, GraphView
from controller.text import format_count, visible

_VERBS = {EdgeKind.GATE: "releases"}
_NOTES = {
    NodeKind.MISSING: "not active",
    NodeKind.FILE: "new files",
    NodeKind.WEBHOOK: "requests",
}
_SHAPES = {
    NodeKind.DEPLOYMENT: ("[", "]"),
    NodeKind.FILE: ("[/", "/]"),
    NodeKind.WEBHOOK: ("([", "])"),
    NodeKind.MISSING: ("{{", "}}"),
}
"""How Mermaid draws the kinds of nodes."""


def as_text(view: GraphView) -> str:
    """Return a tree below each node that depends on nothing, then the number of deployments without an edge.

    A node that several others lead to has its own tree below the first of them only.
    """
    targets: dict[str, list[Edge]] = {}
    for edge in view.edges:
        targets.setdefault(edge.source, []).append(edge)
    nodes = {node.name: node for node in view.nodes}
    dependent = {edge.target for edge in view.edges}
    shown: set[str] = set()
    lines = [
        line
        for name in (*(name for name in nodes if name not in dependent), *nodes)
        if name not in shown
        for line in _tree(name, targets, nodes, shown)
    ]
    if not lines:
        return "No deployment has dependencies."
    if view.independent:
        verb = "has" if view.independent == 1 else "have"
        others = format_count(view.independent, "other deployment")
        lines += ["", f"{others} {verb} no dependencies."]
    return "\n".join(map(visible, lines))


def as_mermaid(view: GraphView) -> str:
    """Return a Mermaid flowchart, which GitHub and GitLab draw in Markdown."""
    ids = {node.name: f"n{index}" for index, node in enumerate(view.nodes)}
    lines = ["flowchart LR"]
    for node in view.nodes:
        opening, closing = _SHAPES[node.kind]
        lines.append(f'  {ids[node.name]}{opening}"{_mermaid_text(node.name)}"{closing}')
    for edge in view.edges:
        arrow = "-.->" if edge.kind is EdgeKind.GATE else "-->"
        label = f"|{_edge_label(edge)}|" if edge.on is not None else ""
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    return "\n".join(lines)


def as_dot(view: GraphView) -> str:
    """Return the graph in the language of Graphviz."""
    shapes = {NodeKind.DEPLOYMENT: "box", NodeKind.FILE: "folder", NodeKind.WEBHOOK: "cds", NodeKind.MISSING: "octagon"}
    lines = ["digraph deployments {", "  rankdir=LR;"]
    lines += [f"  {_quoted(node.name)} [shape={shapes[node.kind]}];" for node in view.nodes]
    for edge in view.edges:
        attributes = [] if edge.on is None else [f'label="{_edge_label(edge)}"']
        attributes += ["style=dashed"] if edge.kind is EdgeKind.GATE else []
        suffix = f" [{', '.join(attributes)}]" if attributes else ""
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)}{suffix};")
    return "\n".join([*lines, "}"])


def _tree(
    root: str, targets: Mapping[str, Sequence[Edge]], nodes: Mapping[str, GraphNode], shown: set[str]
) -> Iterator[str]:
    """Yield the lines of a tree, without recursion: chains of deployments may be long."""
    yield _label(nodes[root])
    shown.add(root)
    waiting = [("", edge, index == 0) for index, edge in enumerate(reversed(targets.get(root, ())))]
    while waiting:
        indent, edge, is_last = waiting.pop()
        is_repeated = edge.target in shown
        following = () if is_repeated else targets.get(edge.target, ())
        notes = [describe_share(edge), "see above" if is_repeated and targets.get(edge.target) else ""]
        note = f" ({', '.join(filter(None, notes))})" if any(notes) else ""
        label = _label(nodes[edge.target])
        outcome = "" if edge.on in (None, UpstreamOutcome.SUCCEEDED) else f" on {edge.on}"
        relation = _VERBS.get(edge.kind, "starts")
        yield f"{indent}{'└─ ' if is_last else '├─ '}{relation} {label}{outcome}{note}"
        shown.add(edge.target)
        inner = f"{indent}{'   ' if is_last else '│  '}"
        waiting += [(inner, each, index == 0) for index, each in enumerate(reversed(following))]


def _label(node: GraphNode) -> str:
    notes = [_NOTES[node.kind]] if node.kind in _NOTES else []
    notes += [node.state.replace("_", " ")] if node.state not in (None, DeploymentState.OK) else []
    return f"{node.name} ({', '.join(notes)})" if notes else node.name


def _edge_label(edge: Edge) -> str:
    return ", ".join(filter(None, (edge.on, describe_share(edge))))


def _mermaid_text(text: str) -> str:
    return "".join(f"#{ord(char)};" if char in '"#<>&`' else char for char in visible(text))


def _quoted(text: str) -> str:
    return json.dumps(visible(text), ensure_ascii=False)
