// The command palette: finds deployments, runs, tags, files and pages by what is typed, and offers commands. Opens with Ctrl K, ⌘ K, /.
import { notice, post, showError } from "./actions.js";
import { announce } from "./copy.js";

const maxRecent = 8;
const recentKey = "recent";
const icons = { deployment: "deployments", page: "open", tag: "tag", file: "source", run: "runs", backfill: "backfills", command: "expand" };

const element = (name, className, text) => Object.assign(document.createElement(name), { className, textContent: text ?? "" });

function icon(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(namespace, "use"));
  svg.firstChild.setAttribute("href", new URL(`icons.svg#${name}`, import.meta.url));
  return svg;
}

function readRecent() {
  try { return JSON.parse(localStorage.getItem(recentKey)) ?? []; } catch { return []; }
}

function addRecent(item) {
  const { kind, name, detail, path } = item;
  const others = readRecent().filter((other) => other.path !== path);
  try { localStorage.setItem(recentKey, JSON.stringify([{ kind, name, detail, path }, ...others].slice(0, maxRecent))); } catch { /* storage is not available */ }
}

async function syncNow() {
  announce("Syncing");
  try {
    await post("/api/v1/reconcile", { wait: true });
    notice("Sync finished.");
  } catch (error) {
    showError(error);
  }
}

const command = (name, detail, action) => ({ kind: "command", name, detail, ...action });

const commands = [
  command("Sync now", "read the source and apply its changes", { run: syncNow }),
  command("Switch theme", "system, light, dark", { run: () => document.getElementById("theme").click() }),
  command("Keyboard shortcuts", "list, switch on or off", { run: () => document.getElementById("keys-open").click() }),
];

// The commands for a deployment lead to its forms, where parameters and reasons are entered.
const deploymentCommands = {
  run: (name) => command(`Run ${name}…`, "enter parameters", { path: `/deployments/${name}#run` }),
  hold: (name) => command(`Hold ${name}…`, "enter a reason", { path: `/deployments/${name}#hold` }),
};

function itemsWithoutText() {
  const links = [...document.querySelectorAll(".top nav a")];
  const goTo = links.map((link) => ({ kind: "page", name: link.textContent.trim(), detail: "", path: link.getAttribute("href") }));
  const recent = readRecent();
  return [...recent, ...goTo.filter((page) => !recent.some((other) => other.path === page.path)), ...commands];
}

async function search(text, signal) {
  const response = await fetch(`/api/v1/search?q=${encodeURIComponent(text)}`, { signal });
  return response.ok ? response.json() : [];
}

// Return the items for a text: with a verb ("hold sales"), the commands come first.
async function findItems(text, signal) {
  if (!text.trim()) return itemsWithoutText();
  const [, verb, rest] = /^\s*(run|hold)\s+(.+)$/i.exec(text) ?? [];
  const results = await search(rest ?? text, signal);
  const names = results.filter((result) => result.kind === "deployment").map((result) => result.name);
  if (verb) return [...names.map(deploymentCommands[verb.toLowerCase()]), ...results];
  const own = commands.filter((item) => item.name.toLowerCase().includes(text.trim().toLowerCase()));
  return [...results, ...own, ...names.slice(0, 2).flatMap((name) => [deploymentCommands.run(name), deploymentCommands.hold(name)])];
}

function option(item, index) {
  const row = element("li", "");
  row.id = `palette-option-${index}`;
  row.setAttribute("role", "option");
  row.append(icon(icons[item.kind]), element("span", "name", item.name), element("span", "detail", item.detail));
  row.append(element("span", "kind", item.status ? `${item.kind} · ${item.status.replace("_", " ")}` : item.kind));
  return row;
}

export function bindPalette(dialog) {
  const button = document.getElementById("palette-open");
  if (!dialog || !button) return;
  const input = document.getElementById("palette-text");
  const list = document.getElementById("palette-list");
  const status = document.getElementById("palette-status");
  let items = [];
  let selected = 0;
  let aborter = new AbortController();
  let loading = Promise.resolve();

  const select = (index) => {
    selected = (index + items.length) % items.length || 0;
    [...list.children].forEach((row, position) => row.setAttribute("aria-selected", String(position === selected)));
    const row = list.children[selected];
    if (row) input.setAttribute("aria-activedescendant", row.id); else input.removeAttribute("aria-activedescendant");
    row?.scrollIntoView({ block: "nearest" });
  };

  const show = (next) => {
    items = next;
    list.replaceChildren(...items.map(option));
    const count = `${items.length} result${items.length === 1 ? "" : "s"}`;
    status.textContent = items.length ? `${count} · ↑ ↓ select · Enter opens · Esc closes` : "Nothing matches. Search for a name, a tag, a file or the ID of a run.";
    select(0);
  };

  const load = async () => {
    aborter.abort();
    aborter = new AbortController();
    const { signal } = aborter;
    try {
      const next = await findItems(input.value, signal);
      if (!signal.aborted) show(next);
    } catch (error) {
      if (error.name !== "AbortError") { show([]); status.textContent = "The controller is not responding."; }
    }
  };

  const activate = (item, isNewTab = false) => {
    if (!item) return;
    dialog.close();
    if (item.run) { item.run(); return; }
    if (item.kind !== "command") addRecent(item);
    if (isNewTab) open(item.path, "_blank", "noopener"); else location.assign(item.path);
  };

  const openPalette = () => {
    if (dialog.open || document.querySelector("dialog[open]")) return;
    input.value = "";
    dialog.showModal();
    loading = load();
  };

  if (/Mac|iP(hone|ad)/.test(navigator.platform)) button.querySelector("kbd").textContent = "⌘ K";
  button.disabled = false;
  button.addEventListener("click", openPalette);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  input.addEventListener("input", () => { loading = load(); });
  input.addEventListener("keydown", async (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); select(selected + step); }
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    const isNewTab = event.ctrlKey || event.metaKey;
    await loading; // a fast typist presses Enter before the results for the whole text have arrived
    activate(items[selected], isNewTab);
  });
  list.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) activate(items[[...list.children].indexOf(row)], event.ctrlKey || event.metaKey);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    openPalette();
  });
}
