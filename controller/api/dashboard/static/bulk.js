// The Runs page: selects runs with checkboxes, or all that match the filters, and cancels or retries them. Selected runs stay
// selected when the page is updated. The runs that match are counted with a dry run first, and then changed page by page.
import { newKey, notice, post, postPages, showBulkResult, showError } from "./actions.js";
import { confirmAction } from "./ask.js";
import { filtersOf } from "./filter.js";

const unfinished = ["pending", "running", "retrying"];
const failures = ["failed", "timed_out", "crashed"];
const maxReasons = 5;

const selected = new Set();
let isAll = false; // all runs that match the filters are selected
let key = newKey();
let showSelection = () => {};

const boxesIn = (root) => [...root.querySelectorAll("[data-select]")];
const count = (number) => `${number.toLocaleString()} run${number === 1 ? "" : "s"}`;

// Enable the checkboxes of a region that is new or was replaced. Runs that are no longer on the page are no longer selected.
export function restoreSelection(region) {
  const boxes = boxesIn(region);
  if (!boxes.length && !document.getElementById("bulk")) return;
  for (const box of boxes) { box.disabled = false; box.checked = isAll || selected.has(box.value); }
  const visible = new Set(boxesIn(document).map((box) => box.value));
  for (const id of selected) if (!visible.has(id)) selected.delete(id);
  showSelection();
}

// Return the states of the filter to which an action applies; by default those that it is meant for. None: it applies to no run.
function statesFor(action) {
  const states = filtersOf(location.search).state ?? [];
  const isUnfinished = (state) => unfinished.includes(state);
  if (!states.length) return action === "cancel" ? unfinished : failures;
  return states.filter((state) => isUnfinished(state) === (action === "cancel"));
}

// Describe the counts of a dry run: how many runs in which state, of how many deployments, and how many are left out and why.
function describeMatches(matches) {
  const sum = (rows) => rows.reduce((total, row) => total + row.count, 0);
  const byKey = (rows, name) => Object.entries(Object.groupBy ? Object.groupBy(rows, (row) => row[name]) : {}).map(([value, group]) => [value, sum(group)]);
  const included = matches.filter((row) => !row.reason);
  const deployments = new Set(included.map((row) => row.deployment));
  const states = byKey(included, "state").map(([state, number]) => `${number.toLocaleString()} ${state.replace("_", " ")}`).join(", ");
  const lines = included.length ? [`${states}, of ${deployments.size === 1 ? `deployment ${[...deployments][0]}` : `${deployments.size} deployments`}.`] : [];
  const leftOut = byKey(matches.filter((row) => row.reason), "reason").sort((one, other) => other[1] - one[1]);
  for (const [reason, number] of leftOut.slice(0, maxReasons)) lines.push(`Left out: ${count(number)}, because ${reason}.`);
  return lines;
}

export function bindBulk(form) {
  if (!form) return;
  const element = (id) => document.getElementById(id);
  const [cancel, retry, code, matching, clear] = ["bulk-cancel", "bulk-retry", "bulk-code", "select-matching", "bulk-clear"].map(element);
  const boxes = () => boxesIn(document);
  let isBusy = false;
  let isStopped = false;

  showSelection = () => {
    const visible = boxes().length;
    const page = element("select-page");
    const total = Number(document.querySelector("[data-count]")?.dataset.count ?? 0);
    const number = isAll ? total : selected.size;
    if (page) {
      page.disabled = isBusy;
      page.checked = visible > 0 && (isAll || selected.size === visible);
      page.indeterminate = !isAll && selected.size > 0 && selected.size < visible;
    }
    form.hidden = number === 0 && !isBusy;
    element("selected").textContent = isAll ? `All ${count(total)} that match are selected` : `${number} selected`;
    matching.hidden = isAll || selected.size < visible || total <= visible;
    const isCounted = document.querySelector("[data-count]")?.hasAttribute("data-exact") && total <= Number(form.dataset.max);
    matching.disabled = !isCounted;
    matching.textContent = isCounted ? `Select all ${count(total)} that match` : `Add filters to select more: more than ${Number(form.dataset.max).toLocaleString()} runs match`;
    cancel.disabled = isBusy || number === 0 || (isAll && !statesFor("cancel").length);
    retry.disabled = isBusy || number === 0 || (isAll && !statesFor("retry").length);
    clear.textContent = isBusy && isAll ? "Stop" : "×";
  };

  const unselect = () => {
    selected.clear();
    isAll = false;
    boxes().forEach((box) => { box.checked = false; });
    key = newKey();
    showSelection();
  };

  // Run an action on the selection; `verb` is the participle in the result.
  const run = async (action, verb, send) => {
    isBusy = true;
    isStopped = false;
    showSelection();
    try {
      showBulkResult(await send(), verb);
      unselect();
    } catch (error) {
      showError(error);
    }
    isBusy = false;
    showSelection();
  };

  const start = async (action, verb, name, body, headers, question, note) => {
    const path = `/api/v1/runs/bulk/${action}`;
    const button = action === "cancel" ? cancel : retry;
    if (!isAll) {
      if (!(await confirmAction(`${question(count(selected.size))} ${note}`, `${name} ${count(selected.size)}`, button))) return;
      run(action, verb, () => post(path, { run_ids: [...selected], ...body }, headers));
      return;
    }
    const filters = { ...filtersOf(location.search), ...body, state: statesFor(action) };
    const dry = await post(path, { ...filters, dry_run: true }).catch(showError);
    if (!dry) return;
    const lines = describeMatches(dry.matches);
    if (!dry.count) { notice([`No run that matches can be ${verb}.`, ...lines].join("\n"), "warn"); return; }
    if (!(await confirmAction([question(count(dry.count)), ...lines].join("\n"), `${name} ${count(dry.count)}`, button))) return;
    const showProgress = (result) => {
      notice(`${result.count.toLocaleString()} of ${count(dry.count)} ${verb}…`);
      return !isStopped;
    };
    run(action, verb, () => postPages(path, filters, { headers, cursor: dry.next, onPage: showProgress }));
  };

  const change = (box) => {
    if (box.checked) selected.add(box.value); else selected.delete(box.value);
    key = newKey();
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select]")) {
      if (isAll) { isAll = false; boxes().forEach((box) => { if (box.checked) selected.add(box.value); }); }
      change(event.target);
    } else if (event.target.id === "select-page") {
      isAll = false;
      for (const box of boxes()) { box.checked = event.target.checked; change(box); }
    } else return;
    showSelection();
  });
  matching.addEventListener("click", () => { isAll = true; key = newKey(); showSelection(); });
  clear.addEventListener("click", () => { if (isBusy) isStopped = true; else unselect(); });
  document.addEventListener("filter", unselect);
  code.addEventListener("change", () => { key = newKey(); });
  cancel.addEventListener("click", () => start("cancel", "cancelled", "Cancel", { reason: "cancelled on the dashboard" }, {},
    (runs) => `Cancel ${runs}?`, "Runs that have finished stay as they are."));
  retry.addEventListener("click", () => {
    const isLatest = code.value === "latest";
    start("retry", "retried", "Retry", { latest: isLatest }, { "Idempotency-Key": key },
      (runs) => `Retry ${runs} with ${isLatest ? "the latest code" : "the same commit"}?`, "Runs that have not finished are left out.");
  });
  // Runs that match are changed page by page, so leaving the page ends the request halfway.
  addEventListener("beforeunload", (event) => { if (isBusy && isAll) event.preventDefault(); });
  restoreSelection(document);
}
