// Keeps a page true: told by the server that something was written down, it asks for the page again and replaces the
// regions (data-live) that have changed. A region in which somebody types is left alone. A broken stream is said so.
import { showTimes } from "./times.js";
import { moveTimes } from "./calendar.js";
import { bindActions, isBack } from "./actions.js";
import { follow } from "./stream.js";

const least = 700; // milliseconds from one look to the next; longer where an answer takes long
const share = 10;
const often = 2500; // while something goes on of which the server does not tell (data-busy: the tasks of a run)
const seldom = 30000; // what depends on the time alone: the next fire times
const raw = new Map();
let tag = null;
let busy = false;
let again = false;
let last = 0;
let rest = least;

// What the server has sent, before any script has changed it.
export function remember() {
  for (const region of document.querySelectorAll("[data-live]")) raw.set(region.id, region.innerHTML);
}

function isInUse(region) {
  const active = document.activeElement;
  return region.contains(active) && active.matches("input, textarea, select");
}

function replace(page) {
  if (page.title) document.title = page.title;
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const region = document.getElementById(fresh.id);
    if (!region) continue;
    region.toggleAttribute("data-busy", fresh.hasAttribute("data-busy"));
    if (raw.get(fresh.id) === fresh.innerHTML || isInUse(region)) continue;
    raw.set(fresh.id, fresh.innerHTML);
    const open = [...region.querySelectorAll("details")].map((one) => one.open);
    const focused = [...region.querySelectorAll("a, button, summary")].indexOf(document.activeElement);
    region.replaceChildren(...fresh.childNodes);
    region.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? one.open; });
    if (focused >= 0) region.querySelectorAll("a, button, summary")[focused]?.focus({ preventScroll: true });
    showTimes(region);
    moveTimes(region);
    bindActions(region);
  }
}

async function look() {
  if (busy) { again = true; return; }
  busy = true;
  again = false;
  await new Promise((done) => setTimeout(done, Math.max(0, last + rest - Date.now())));
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", ...(tag && { "If-None-Match": tag }) }, cache: "no-store" });
    isBack();
    if (answer.redirected) location.reload();
    else if (answer.status === 200) {
      tag = answer.headers.get("ETag");
      replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch { /* the stream tells when it is back */ }
  rest = Math.max(least, share * (Date.now() - last));
  busy = false;
  if (again) look();
}

function say(isOn) {
  const sign = document.getElementById("live");
  const words = isOn ? "live" : isOn === null ? "paused" : "not connected";
  sign.className = `live ${isOn ? "on" : isOn === null ? "" : "off"}`;
  if (sign.textContent !== words) sign.textContent = words;
  sign.title = isOn ? "This page changes by itself" : words;
  const lost = document.getElementById("lost");
  if (isOn !== false) lost.hidden = true;
  else if (lost.hidden) {
    const since = new Date().toLocaleTimeString();
    lost.textContent = `The controller does not answer since ${since}. This page shows what was known then; it tries again by itself.`;
    lost.hidden = false;
  }
}

export function watch() {
  if (!document.getElementById("live") || !window.EventSource) return;
  const open = () => follow(() => "/api/v1/events/stream", { change: look }, (isOn) => { say(isOn); if (isOn) look(); });
  let end = open();
  document.addEventListener("visibilitychange", () => {
    end();
    if (document.hidden) say(null); else end = open();
  });
  setInterval(() => { if (!document.hidden && document.querySelector("[data-busy]")) look(); }, often);
  setInterval(() => { if (!document.hidden) look(); }, seldom);
}
