// The chart of durations: dragging over it filters the runs by that time. The form has the same filters for the keyboard.
const least = 5; // pixels; less is a click

const iso = (milliseconds) => new Date(Math.round(milliseconds / 1000) * 1000).toISOString().replace(".000", "");

export function bindScatter(place) {
  if (!place) return;
  let drag = null;
  const share = (event) => {
    const box = drag.picture.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const draw = (from, to) => {
    const brush = drag.picture.querySelector(".brush");
    brush.setAttribute("x", `${from * 100}%`);
    brush.setAttribute("width", `${(to - from) * 100}%`);
  };
  place.addEventListener("dragstart", (event) => event.preventDefault()); // of the links in the chart
  place.addEventListener("pointerdown", (event) => {
    const picture = event.target.closest(".dots");
    if (!picture || event.button !== 0 || event.pointerType === "touch") return;
    drag = { picture, x: event.clientX, isMoved: false };
    drag.start = share(event);
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.isMoved ||= Math.abs(event.clientX - drag.x) >= least;
    if (!drag.isMoved) return;
    const end = share(event);
    draw(Math.min(drag.start, end), Math.max(drag.start, end));
  });
  addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { picture, start, isMoved } = drag;
    const end = share(event);
    if (isMoved) draw(0, 0);
    drag = null;
    if (!isMoved) return;
    addEventListener("click", (click) => { click.preventDefault(); click.stopPropagation(); }, { capture: true, once: true });
    const { first, last } = picture.closest("[data-first]").dataset;
    const [from, to] = [Date.parse(first), Date.parse(last)];
    const parameters = new URLSearchParams(location.search);
    for (const name of ["range", "before"]) parameters.delete(name);
    parameters.set("since", iso(from + Math.min(start, end) * (to - from)));
    parameters.set("until", iso(from + Math.max(start, end) * (to - from)));
    location.assign(`${location.pathname}?${parameters}`);
  });
}
