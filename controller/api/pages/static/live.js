// Keeps a page true: told by the server that something was written down, it asks for the page again and replaces the
// regions (data-live) that have changed. A region in which somebody types is left alone.
import { showTimes } from "./times.js";
import { bindActions } from "./actions.js";

const least = 700; // milliseconds from one look to the next
const raw = new Map();
let tag = null;
let busy = false;
let again = false;
let last = 0;

function remember(root) {
  for (const region of root.querySelectorAll("[data-live]")) raw.set(region.id, region.innerHTML);
}

function isInUse(region) {
  const active = document.activeElement;
  return region.contains(active) && active.matches("input, textarea, select");
}

function replace(page) {
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const region = document.getElementById(fresh.id);
    if (!region || raw.get(fresh.id) === fresh.innerHTML || isInUse(region)) continue;
    raw.set(fresh.id, fresh.innerHTML);
    const open = [...region.querySelectorAll("details")].map((one) => one.open);
    region.replaceChildren(...fresh.childNodes);
    region.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? false; });
    showTimes(region);
    bindActions(region);
  }
}

async function look() {
  if (busy) { again = true; return; }
  busy = true;
  again = false;
  await new Promise((done) => setTimeout(done, Math.max(0, last + least - Date.now())));
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", ...(tag && { "If-None-Match": tag }) }, cache: "no-store" });
    if (answer.redirected) location.reload();
    else if (answer.status === 200) {
      tag = answer.headers.get("ETag");
      replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch { /* the stream tells when it is back */ }
  busy = false;
  if (again) look();
}

export function watch() {
  const sign = document.getElementById("live");
  if (!sign || !window.EventSource) return;
  fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" })
    .then((answer) => answer.text())
    .then((text) => {
      const page = new DOMParser().parseFromString(text, "text/html");
      replace(page);
      remember(page);
    }).catch(() => {});
  const say = (name, words) => { sign.className = `live ${name}`; sign.textContent = words; sign.title = words; };
  let stream = null;
  const open = () => {
    stream = new EventSource("/api/v1/events/stream");
    stream.addEventListener("open", () => { say("on", "live"); look(); });
    stream.addEventListener("error", () => say("off", "not connected"));
    stream.addEventListener("change", look);
  };
  open();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { stream.close(); say("", "paused"); } else { open(); }
  });
  // What depends on the time alone (the next fire times) is looked at now and then.
  setInterval(() => { if (!document.hidden) look(); }, 30000);
}
