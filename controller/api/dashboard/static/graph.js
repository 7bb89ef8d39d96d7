// The graph: the pointer or the focus on a node shows what it depends on and what depends on it.
// The listeners are on the document, because live updates replace the drawing.
function reach(start, edges, from, to) {
  const names = new Set([start]);
  const waiting = [start];
  while (waiting.length) {
    const name = waiting.pop();
    for (const edge of edges) {
      if (edge.dataset[from] === name) {
        edge.classList.add("hot");
        if (!names.has(edge.dataset[to])) {
          names.add(edge.dataset[to]);
          waiting.push(edge.dataset[to]);
        }
      }
    }
  }
  return names;
}

function trace(event) {
  const node = event.target.closest?.(".graph [data-node]");
  const graph = node ? node.closest(".graph") : document.querySelector(".graph.is-tracing");
  if (!graph) return;
  for (const hot of graph.querySelectorAll(".hot")) hot.classList.remove("hot");
  graph.classList.toggle("is-tracing", Boolean(node));
  if (!node) return;
  const edges = [...graph.querySelectorAll(".edge[data-from]")];
  const names = reach(node.dataset.node, edges, "to", "from");
  for (const name of reach(node.dataset.node, edges, "from", "to")) names.add(name);
  for (const other of graph.querySelectorAll("[data-node]")) {
    other.classList.toggle("hot", names.has(other.dataset.node));
  }
}

document.addEventListener("pointerover", trace);
document.addEventListener("focusin", trace);
document.querySelector(".graph .focus")?.scrollIntoView({ block: "nearest", inline: "center" });
