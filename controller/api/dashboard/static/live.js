// Keeps a page up to date: when the server reports a change, fetches the page again and updates the regions that differ. The page
// says so when the event stream is disconnected. Without input for two minutes, a page loads at most 50 kB a minute.
import { clearLostNotice } from "./actions.js";
import { isHeldBySelection, updateRegions, watchUse } from "./regions.js";
import { follow } from "./stream.js";

const minPause = 700; // milliseconds between two refreshes; longer if the server is slow (see `slowdown`)
const slowdown = 10; // pause for this many times as long as the last refresh took
const maxPause = 30000; // a refresh that took hours was interrupted: the computer slept
const busyInterval = 2500; // while the page shows something without change events (data-busy: the tasks of a run)
const idleInterval = 30000; // for values that depend only on the time: the next fire times
const idleAfter = 120000; // without input, the user is probably not looking
const idleRate = 50000 / 60000; // bytes per millisecond
const headBytes = 500; // of a response, about
let tag = null;
let busy = false;
let again = false;
let last = 0;
let pause = minPause;
let idlePause = 0;
let lastInput = 0;
let isOn = null;
let isGone = false;
let stop = () => {};
let wake = () => {};

const isIdle = () => Date.now() - lastInput > idleAfter;
const sleep = (time) => new Promise((resolve) => { wake = resolve; setTimeout(resolve, time); });

async function load() {
  const headers = { Accept: "text/html", ...(tag && { "If-None-Match": tag }) };
  const response = await fetch(location.href, { headers, cache: "no-store" });
  clearLostNotice();
  idlePause = (headBytes + Number(response.headers.get("Content-Length") ?? 0)) / idleRate;
  if (response.redirected) location.reload();
  else if (response.status === 404) stop();
  else if (response.status === 200) {
    tag = response.headers.get("ETag");
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (page.title) document.title = page.title;
    updateRegions(page);
  }
}

async function refresh() {
  if (isGone) return;
  if (busy) { again = true; return; }
  busy = true;
  again = false;
  await sleep(Math.max(0, last + Math.max(pause, isIdle() ? idlePause : 0) - Date.now()));
  last = Date.now();
  try { await load(); } catch { /* the event stream reports when the controller is back */ }
  pause = Math.min(maxPause, Math.max(minPause, slowdown * (Date.now() - last)));
  busy = false;
  if (again && !document.hidden) refresh();
}

function showState(text, className, title) {
  const badge = document.getElementById("live");
  badge.className = `live ${className}`;
  if (badge.textContent !== text) badge.textContent = text;
  badge.title = title;
}

function showConnection() {
  if (isOn === false) showState("not connected", "off", "not connected");
  else if (isOn === null) showState("paused", "", "paused");
  else if (isHeldBySelection()) showState("paused", "", "The part with the selected text is updated when you clear the selection");
  else showState("live", "on", "This page updates automatically");
}

function showLost(text) {
  const lost = document.getElementById("lost");
  lost.textContent = text ?? "";
  lost.hidden = !text;
}

function setConnection(value) {
  isOn = value;
  showConnection();
  if (isOn !== false) showLost();
  else if (document.getElementById("lost").hidden) {
    const since = new Date().toLocaleTimeString();
    showLost(`The controller has not responded since ${since}. This page shows the last known state and reconnects automatically.`);
  }
}

// Remove what acts on a deployment, a run or a backfill that no longer exists. Links to its history stay.
function removeActions() {
  for (const element of document.querySelectorAll("#main :is([data-post], a[href='#run'], a[href='#hold'], a[href='#backfill'])")) element.remove();
  for (const button of document.querySelectorAll("dialog.sheet [data-submit]")) button.disabled = true;
}

function noteInput() {
  const wasIdle = isIdle();
  lastInput = Date.now();
  if (wasIdle) wake();
}

export function watch() {
  if (!document.getElementById("live") || !window.EventSource) return;
  const open = () => follow(() => "/api/v1/events/stream", { change: refresh }, (value) => { setConnection(value); if (value) refresh(); });
  let end = open();
  const change = () => {
    end();
    if (document.hidden) setConnection(null); else end = open();
  };
  const timers = [
    setInterval(() => { if (!document.hidden && document.querySelector("[data-busy]")) refresh(); }, busyInterval),
    setInterval(() => { if (!document.hidden) refresh(); }, idleInterval),
  ];
  stop = () => {
    isGone = true;
    end();
    timers.forEach(clearInterval);
    document.removeEventListener("visibilitychange", change);
    removeActions();
    showState("not updated", "", "The controller has deleted what this page shows");
    showLost("The controller has deleted what this page shows. The page keeps its last state until you leave it.");
  };
  document.addEventListener("visibilitychange", change);
  document.addEventListener("filter", () => { refresh(); wake(); }); // the user has changed the address: do not wait
  for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "touchmove"]) addEventListener(name, noteInput, { passive: true });
  lastInput = Date.now();
  watchUse(() => { if (isOn) showConnection(); });
}
