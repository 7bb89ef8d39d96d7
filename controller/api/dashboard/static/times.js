// Shows times in the viewer's time zone, relative if they are near. The tooltip has the full time, also in the deployment's time zone.
const near = 22 * 3600; // seconds
const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const short = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function inZone(moment, zone) {
  try {
    return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", timeZone: zone }).format(moment);
  } catch {
    return moment.toISOString();
  }
}

function formatDuration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 1 : 0)} s`;
  const whole = Math.round(seconds);
  for (let i = 0; i < units.length; i++) {
    const [size, name] = units[i];
    if (whole < size) continue;
    const rest = i + 1 < units.length ? Math.floor((whole % size) / units[i + 1][0]) : 0;
    return `${Math.floor(whole / size)} ${name}` + (rest ? ` ${rest} ${units[i + 1][1]}` : "");
  }
  return "0 s";
}

// Ages have no seconds after the first minute, so that lists do not change every second.
const formatAge = (seconds) => formatDuration(seconds < 60 ? seconds : Math.floor(seconds / 60) * 60);
// Set the text of an element in its text node, and only if it differs: anything else would end a text selection that includes it.
function setText(element, text) {
  if (element.textContent === text) return;
  if (element.childNodes.length === 1 && element.firstChild.nodeType === Node.TEXT_NODE) element.firstChild.data = text;
  else element.textContent = text;
}

function showTime(element) {
  const moment = new Date(element.dateTime);
  const away = (moment - Date.now()) / 1000;
  const distance = Math.abs(away);
  if ("clock" in element.dataset) setText(element, clock.format(moment));
  else if ("date" in element.dataset) setText(element, short.format(moment));
  else if (distance < 1.5) setText(element, "now");
  else if (distance < near) setText(element, away > 0 ? `in ${formatAge(distance)}` : `${formatAge(distance)} ago`);
  else setText(element, short.format(moment));
}

export function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const zone = element.dataset.zone;
    element.title = inZone(moment, undefined) + (zone ? `\n${inZone(moment, zone)} in ${zone}` : "");
    showTime(element);
  }
  showElapsed(root);
}

function showElapsed(root) {
  for (const element of root.querySelectorAll("[data-since]")) {
    setText(element, formatDuration(Math.max(0, (Date.now() - new Date(element.dataset.since)) / 1000)));
  }
}

export function updateTimes() {
  const zone = document.getElementById("zone");
  if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  setInterval(() => {
    if (document.hidden) return;
    document.querySelectorAll("time[datetime]").forEach(showTime);
    showElapsed(document);
  }, 1000);
}
