// Updates the regions of a page (data-live) in place: rows are matched by their key, so that focus, scroll positions, open
// details and typed text stay. A region waits while text in it is selected, a pointer is pressed in it or a field has the focus.
import { Idiomorph } from "./idiomorph.js";
import { enableActions, isPending } from "./actions.js";
import { restoreSelection } from "./bulk.js";
import { moveTimes } from "./calendar.js";
import { showTimes } from "./times.js";

const received = new Map(); // region id: its HTML as the server sent it last
const waiting = new Map(); // region id: the element that replaces it once the region is not in use
let pressed = null;
let onChange = () => {};

// The link that opens a row: that of the run or backfill, or the first one.
export const linkOf = (row) => row.querySelector(".id a") ?? row.querySelector("a[href]");

// Give each row an id, so that it is matched with the same row of the next version: its data-key, or the target of its link.
function setKeys(region) {
  const used = new Set();
  for (const row of region.querySelectorAll("tr, li, [data-key]")) {
    const key = row.dataset.key ?? linkOf(row)?.getAttribute("href");
    if (!key || row.id || used.has(key)) continue;
    used.add(key);
    row.id = `${region.id}:${key}`;
  }
}

const selectionIn = (region) => {
  const selection = document.getSelection();
  return !selection.isCollapsed && selection.rangeCount > 0 && selection.getRangeAt(0).intersectsNode(region);
};

const isTypingIn = (region) => region.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox]), textarea, select");

const isInUse = (region) => isTypingIn(region) || region.contains(pressed) || selectionIn(region);

function isChanged(field) {
  if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
  if (!field.matches("select")) return field.value !== field.defaultValue;
  const options = [...field.options];
  return field.selectedOptions[0] !== (options.find((option) => option.defaultSelected) ?? options[0]);
}

const callbacks = {
  // A field that the user has changed stays as it is.
  beforeNodeMorphed: (node) => !(node.nodeType === Node.ELEMENT_NODE && node.matches("input, textarea, select") && isChanged(node)),
  // Users open and close details; a button is disabled while its request is in progress.
  beforeAttributeUpdated: (name, element) => !(name === "open" && element.matches("details")) && !(name === "disabled" && isPending(element)),
};

function replace(region, fresh) {
  setKeys(fresh);
  showTimes(fresh);
  moveTimes(fresh);
  enableActions(fresh);
  Idiomorph.morph(region, fresh, { callbacks });
  restoreSelection(region);
}

function replaceWaiting() {
  for (const [id, fresh] of [...waiting]) {
    const region = document.getElementById(id);
    if (region && isInUse(region)) continue;
    waiting.delete(id);
    if (region) replace(region, fresh);
  }
  onChange();
}

// Whether a text selection keeps a region from being updated.
export const isHeldBySelection = () => [...waiting.keys()].some((id) => selectionIn(document.getElementById(id)));

// Remember the HTML of each region as the server sent it. Call this before scripts change it.
export function rememberRegions() {
  for (const region of document.querySelectorAll("[data-live]")) {
    received.set(region.id, region.outerHTML);
    setKeys(region);
  }
}

// Replace what differs in `page`, a newer version of this document.
export function updateRegions(page) {
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const region = document.getElementById(fresh.id);
    const html = fresh.outerHTML;
    if (!region || received.get(fresh.id) === html) continue;
    received.set(fresh.id, html);
    if (isInUse(region)) waiting.set(fresh.id, fresh);
    else { waiting.delete(fresh.id); replace(region, fresh); }
  }
  onChange();
}

// Update waiting regions as soon as they are not in use any more, and call `changed` when regions begin or end to wait.
export function watchUse(changed) {
  onChange = changed;
  const release = () => setTimeout(() => { pressed = null; replaceWaiting(); }); // after the click that this release ends
  document.addEventListener("pointerdown", (event) => { pressed = event.target; });
  for (const name of ["pointerup", "pointercancel", "blur"]) addEventListener(name, release);
  document.addEventListener("selectionchange", () => { if (waiting.size) replaceWaiting(); });
  document.addEventListener("focusout", () => setTimeout(() => { if (waiting.size) replaceWaiting(); }));
}
