// Puts the times of a calendar on the days that they are in the viewer's zone; the server has put them on those of the deployment's.
const dayOf = new Intl.DateTimeFormat("sv"); // 2026-11-25

function put(time, cell) {
  const later = [...cell.querySelectorAll("time")].find((one) => one.dateTime > time.dateTime);
  if (later) later.before(time); else cell.append(time);
  if (!cell.className) cell.className = "busy";
}

export function moveTimes(root) {
  for (const calendar of root.querySelectorAll("[data-calendar]")) {
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (here === calendar.dataset.calendar) { calendar.querySelector("[data-zone-hint]").remove(); continue; }
    calendar.querySelector("[data-zone-name]").textContent = here;
    const cells = new Map([...calendar.querySelectorAll("[data-day]")].map((one) => [one.dataset.day, one]));
    for (const time of calendar.querySelectorAll("time")) {
      const from = time.closest("td");
      const to = cells.get(dayOf.format(new Date(time.dateTime)));
      if (to === from) continue;
      if (to) put(time, to); else time.remove();
    }
    const today = dayOf.format(new Date());
    for (const [day, cell] of cells) {
      const isBusy = cell.querySelector("time, .many");
      cell.className = day === today ? "today" : day < today ? "past" : isBusy ? "busy" : "";
    }
  }
}
