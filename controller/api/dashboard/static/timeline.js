// Lets the user drag over a range of the overview's timeline to open its runs. Without a drag, each half hour is a link.
const minimum = 6; // pixels; a shorter drag is a click

let begin = null;
let brush = null;

function chartOf(event) {
  return event.target.closest?.(".timeline") ?? null;
}

// Return the columns of the past between two horizontal positions of the page.
function columnsBetween(chart, left, right) {
  return [...chart.querySelectorAll("a[data-start]")].filter((column) => {
    const box = column.querySelector(".hit").getBoundingClientRect();
    return box.right > left && box.left < right;
  });
}

function draw(chart, left, right) {
  const box = chart.getBoundingClientRect();
  const view = chart.viewBox.baseVal;
  if (!brush) {
    brush = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    brush.setAttribute("class", "brush");
    brush.setAttribute("height", view.height);
    chart.append(brush);
  }
  brush.setAttribute("x", (left - box.left) / box.width * view.width);
  brush.setAttribute("width", (right - left) / box.width * view.width);
}

function clear() {
  brush?.remove();
  begin = brush = null;
}

document.addEventListener("pointerdown", (event) => {
  const chart = event.button === 0 && event.pointerType !== "touch" ? chartOf(event) : null;
  begin = chart ? { chart, x: event.clientX } : null;
});
document.addEventListener("pointermove", (event) => {
  if (!begin || Math.abs(event.clientX - begin.x) < minimum) return;
  draw(begin.chart, Math.min(begin.x, event.clientX), Math.max(begin.x, event.clientX));
});
document.addEventListener("pointerup", (event) => {
  if (!begin || !brush) return clear();
  const columns = columnsBetween(begin.chart, Math.min(begin.x, event.clientX), Math.max(begin.x, event.clientX));
  clear();
  if (!columns.length) return;
  const query = new URLSearchParams({ since: columns[0].dataset.start, until: columns.at(-1).dataset.end });
  // The click that follows the drag must not open a single half hour.
  document.addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
  location.assign(`/runs?${query}`);
});
document.addEventListener("dragstart", (event) => { if (chartOf(event)) event.preventDefault(); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
