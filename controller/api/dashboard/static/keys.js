// Keys without Ctrl or ⌘: go to pages, move through rows, open the palette and the list of keys. They do nothing while a field has
// the focus or a dialog is open. Users can switch them off (WCAG 2.1.4).
import { linkOf } from "./regions.js";

const goTo = { o: "/", d: "/deployments", r: "/runs", b: "/backfills", g: "/graph", s: "/source", e: "/events" };
const sequenceTime = 1500; // milliseconds between g and the next key
const storageKey = "keys";
const typing = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
let sequenceEnd = 0;

const isOn = () => { try { return localStorage.getItem(storageKey) !== "off"; } catch { return true; } };

function setOn(value) {
  try { if (value) localStorage.removeItem(storageKey); else localStorage.setItem(storageKey, "off"); } catch { /* storage is not available: the keys stay on */ }
}

const rows = () => [...document.querySelectorAll("main :is(tbody tr, .attention li)")].filter((row) => linkOf(row)?.checkVisibility());

function moveRow(step) {
  const all = rows();
  const current = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[current < 0 ? (step > 0 ? 0 : all.length - 1) : current + step];
  if (!next) return;
  linkOf(next).focus({ focusVisible: true });
  next.scrollIntoView({ block: "nearest" });
}

const click = (selector) => document.querySelector(selector)?.click();
const actions = {
  "/": () => click("#palette-open"),
  "?": () => click("#keys-open"),
  j: () => moveRow(1),
  k: () => moveRow(-1),
  x: () => document.activeElement.closest("tr")?.querySelector("[data-select]")?.click(),
  "[": () => click("main a[rel=prev]"),
  "]": () => click("main a[rel=next]"),
  g: () => { sequenceEnd = Date.now() + sequenceTime; },
};

function press(event) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  // The field of a dialog that was just closed can keep the focus until the next frame.
  if (!isOn() || event.target.closest?.(typing)?.checkVisibility() || document.querySelector("dialog[open]")) return;
  const path = Date.now() < sequenceEnd ? goTo[event.key] : undefined;
  sequenceEnd = 0;
  const action = path ? () => location.assign(path) : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

export function bindKeys(dialog) {
  const button = document.getElementById("keys-open");
  if (!dialog || !button) return;
  const box = document.getElementById("keys-on");
  button.disabled = false;
  button.addEventListener("click", () => { box.checked = isOn(); dialog.showModal(); });
  box.addEventListener("change", () => setOn(box.checked));
  document.addEventListener("keydown", press);
}
