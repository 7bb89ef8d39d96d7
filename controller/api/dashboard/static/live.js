// Keeps a page up to date: when the server reports a change, fetches the page again and replaces the regions (data-live)
// that differ. A region with a focused input is left alone. The page says so when the event stream is disconnected.
import { showTimes } from "./times.js";
import { moveTimes } from "./calendar.js";
import { bindActions, clearLostNotice } from "./actions.js";
import { restoreSelection } from "./bulk.js";
import { follow } from "./stream.js";

const minPause = 700; // milliseconds between two refreshes; longer if the server is slow (see `slowdown`)
const slowdown = 10; // pause for this many times as long as the last refresh took
const busyInterval = 2500; // while the page shows something without change events (data-busy: the tasks of a run)
const idleInterval = 30000; // for values that depend only on the time: the next fire times
const raw = new Map();
let tag = null;
let busy = false;
let again = false;
let last = 0;
let pause = minPause;
let wake = () => {};

// Remember the HTML of each region as the server sent it, before scripts change it.
export function rememberRegions() {
  for (const region of document.querySelectorAll("[data-live]")) raw.set(region.id, region.innerHTML);
}

function isInUse(region) {
  const active = document.activeElement;
  return region.contains(active) && active.matches("input:not([data-select]), textarea, select");
}

function replace(page) {
  if (page.title) document.title = page.title;
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const region = document.getElementById(fresh.id);
    if (!region) continue;
    region.toggleAttribute("data-busy", fresh.hasAttribute("data-busy"));
    if (raw.get(fresh.id) === fresh.innerHTML || isInUse(region)) continue;
    raw.set(fresh.id, fresh.innerHTML);
    const open = [...region.querySelectorAll("details")].map((details) => details.open);
    const focused = [...region.querySelectorAll("a, button, summary")].indexOf(document.activeElement);
    const selectable = document.activeElement?.closest("[data-select]")?.value;
    region.replaceChildren(...fresh.childNodes);
    region.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? details.open; });
    if (focused >= 0) region.querySelectorAll("a, button, summary")[focused]?.focus({ preventScroll: true });
    showTimes(region);
    moveTimes(region);
    bindActions(region);
    restoreSelection(region);
    if (selectable) region.querySelector(`[data-select][value="${CSS.escape(selectable)}"]`)?.focus({ preventScroll: true });
  }
}

const sleep = (time) => new Promise((resolve) => { wake = resolve; setTimeout(resolve, time); });

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  again = false;
  await sleep(Math.max(0, last + pause - Date.now()));
  last = Date.now();
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html", ...(tag && { "If-None-Match": tag }) }, cache: "no-store" });
    clearLostNotice();
    if (response.redirected) location.reload();
    else if (response.status === 200) {
      tag = response.headers.get("ETag");
      replace(new DOMParser().parseFromString(await response.text(), "text/html"));
    }
  } catch { /* the event stream reports when the controller is back */ }
  pause = Math.max(minPause, slowdown * (Date.now() - last));
  busy = false;
  if (again) refresh();
}

function showConnection(isOn) {
  const badge = document.getElementById("live");
  const text = isOn ? "live" : isOn === null ? "paused" : "not connected";
  badge.className = `live ${isOn ? "on" : isOn === null ? "" : "off"}`;
  if (badge.textContent !== text) badge.textContent = text;
  badge.title = isOn ? "This page updates automatically" : text;
  const lost = document.getElementById("lost");
  if (isOn !== false) lost.hidden = true;
  else if (lost.hidden) {
    const since = new Date().toLocaleTimeString();
    lost.textContent = `The controller has not responded since ${since}. This page shows the last known state and reconnects automatically.`;
    lost.hidden = false;
  }
}

export function watch() {
  if (!document.getElementById("live") || !window.EventSource) return;
  document.addEventListener("filter", () => { refresh(); wake(); }); // the user has changed the address: do not wait
  const open = () => follow(() => "/api/v1/events/stream", { change: refresh }, (isOn) => { showConnection(isOn); if (isOn) refresh(); });
  let end = open();
  document.addEventListener("visibilitychange", () => {
    end();
    if (document.hidden) showConnection(null); else end = open();
  });
  setInterval(() => { if (!document.hidden && document.querySelector("[data-busy]")) refresh(); }, busyInterval);
  setInterval(() => { if (!document.hidden) refresh(); }, idleInterval);
}
