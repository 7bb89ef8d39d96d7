// The Runs page: selects runs with checkboxes, and cancels or retries them with one request. The selection survives live updates.
import { newKey, post, showBulkResult, showError } from "./actions.js";
import { confirmAction } from "./ask.js";

const selected = new Set();
let key = newKey();
let showSelection = () => {};

const boxesIn = (root) => [...root.querySelectorAll("[data-select]")];
const count = (number) => `${number} run${number === 1 ? "" : "s"}`;

// Enable the checkboxes of a region that is new or was replaced. Runs that are no longer on the page are no longer selected.
export function restoreSelection(region) {
  const boxes = boxesIn(region);
  if (!boxes.length && !document.getElementById("bulk")) return;
  for (const box of boxes) { box.disabled = false; box.checked = selected.has(box.value); }
  const visible = new Set(boxesIn(document).map((box) => box.value));
  for (const id of selected) if (!visible.has(id)) selected.delete(id);
  showSelection();
}

export function bindBulk(form) {
  if (!form) return;
  const all = document.getElementById("select-all");
  const cancel = document.getElementById("bulk-cancel");
  const retry = document.getElementById("bulk-retry");
  const code = document.getElementById("bulk-code");
  const boxes = () => boxesIn(document);
  let isBusy = false;

  showSelection = () => {
    const visible = boxes().length;
    form.hidden = visible === 0;
    document.getElementById("selected").textContent = `${selected.size} selected`;
    all.checked = visible > 0 && selected.size === visible;
    all.indeterminate = selected.size > 0 && selected.size < visible;
    cancel.disabled = retry.disabled = isBusy || selected.size === 0;
  };

  const run = async (path, body, headers, verb) => {
    isBusy = true;
    showSelection();
    try {
      showBulkResult(await post(`/api/v1/runs/bulk/${path}`, { run_ids: [...selected], ...body }, headers), verb);
      selected.clear();
      boxes().forEach((box) => { box.checked = false; });
      key = newKey();
    } catch (error) {
      showError(error);
    }
    isBusy = false;
    showSelection();
  };

  const change = (box) => {
    if (box.checked) selected.add(box.value); else selected.delete(box.value);
    key = newKey();
  };
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-select]")) return;
    change(event.target);
    showSelection();
  });
  all.addEventListener("change", () => {
    for (const box of boxes()) { box.checked = all.checked; change(box); }
    showSelection();
  });
  code.addEventListener("change", () => { key = newKey(); });
  cancel.addEventListener("click", async () => {
    if (!(await confirmAction(`Cancel ${count(selected.size)}? Runs that have finished stay as they are.`, `Cancel ${count(selected.size)}`))) return;
    run("cancel", { reason: "cancelled on the dashboard" }, {}, "cancelled");
  });
  retry.addEventListener("click", async () => {
    const isLatest = code.value === "latest";
    const question = `Retry ${count(selected.size)} with ${isLatest ? "the latest code" : "the same commit"}? Runs that have not finished are left out.`;
    if (!(await confirmAction(question, `Retry ${count(selected.size)}`))) return;
    run("retry", { latest: isLatest }, { "Idempotency-Key": key }, "retried");
  });
  restoreSelection(document);
}
