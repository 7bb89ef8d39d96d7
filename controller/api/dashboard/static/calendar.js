// Moves the fire times of a calendar to their days in the viewer's time zone. The server renders them in the deployment's time zone.
const dayOf = new Intl.DateTimeFormat("sv"); // 2026-11-25

function insertTime(time, cell) {
  const later = [...cell.querySelectorAll("time")].find((other) => other.dateTime > time.dateTime);
  if (later) later.before(time); else cell.append(time);
  if (!cell.className) cell.className = "busy";
}

export function moveTimes(root) {
  for (const calendar of root.querySelectorAll("[data-calendar]")) {
    const viewerZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (viewerZone === calendar.dataset.calendar) { calendar.querySelector("[data-zone-hint]").remove(); continue; }
    calendar.querySelector("[data-zone-name]").textContent = viewerZone;
    const cells = new Map([...calendar.querySelectorAll("[data-day]")].map((cell) => [cell.dataset.day, cell]));
    for (const time of calendar.querySelectorAll("time")) {
      const from = time.closest("td");
      const to = cells.get(dayOf.format(new Date(time.dateTime)));
      if (to === from) continue;
      if (to) insertTime(time, to); else time.remove();
    }
    const today = dayOf.format(new Date());
    for (const [day, cell] of cells) {
      const isBusy = cell.querySelector("time, .many");
      cell.className = day === today ? "today" : day < today ? "past" : isBusy ? "busy" : "";
    }
  }
}
