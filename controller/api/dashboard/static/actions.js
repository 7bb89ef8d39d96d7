// Binds the buttons and the hold form to the HTTP API. They are disabled in the HTML until this script enables them.
import { confirmAction } from "./ask.js";
import { authorHeader } from "./author.js";

export async function post(path, body, headers = {}) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...authorHeader(), ...headers },
    body: JSON.stringify(body ?? {}),
  }).catch(() => { throw Object.assign(new Error("The controller is not responding."), { isLost: true }); });
  const result = await response.json().catch(() => ({}));
  if (response.ok) return result;
  const error = new Error(result.detail ?? `The controller returned HTTP ${response.status}.`);
  error.hint = result.hint;
  error.errors = result.errors ?? [];
  throw error;
}

// Show a message at the top of the page. With `isLost` it is removed once the controller responds again.
export function notice(text, tone = "good", isLost = false) {
  const place = document.getElementById("notice");
  place.className = `note ${tone}`;
  place.textContent = text;
  place.toggleAttribute("data-lost", isLost);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

export function showError(error) {
  notice([error.message, error.hint].filter(Boolean).join(" "), "bad", error.isLost);
}

// Hide the messages that the controller does not respond, at the top and in forms.
export function clearLostNotice() {
  for (const place of document.querySelectorAll("[data-lost]")) place.hidden = true;
}

export const newKey = () => (crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2));

const maxReasons = 5;
const shortIds = (text) => text.replace(/[0-9a-f-]{24}([0-9a-f]{12})/g, "$1");

// Show the result of a request for many runs: how many it applied to, and why it left others out.
export function showBulkResult(result, verb) {
  const leftOut = result.runs.filter((run) => run.reason);
  const lines = [`${result.count} of ${result.runs.length} runs ${verb}.`, ...leftOut.slice(0, maxReasons).map((run) => `Left out: ${shortIds(run.reason)}`)];
  if (leftOut.length > maxReasons) lines.push(`${leftOut.length - maxReasons} more were left out.`);
  notice(lines.join("\n"), leftOut.length ? "warn" : "good");
}

// Show whether a test message has reached its channel.
function showDelivery(message, channel) {
  if (message.delivery === "sent") notice(`The test message was delivered to ${channel}.`);
  else notice(`The test message was not delivered to ${channel}: ${message.error ?? "no reason is known"}`, "bad");
}

// Send a request for the runs that match filters, page by page, and return the results of all pages. Ends when `onPage` returns false.
export async function postPages(path, body, { headers = {}, cursor = null, onPage = () => true } = {}) {
  const all = { count: 0, runs: [] };
  let isWanted;
  do {
    const page = await post(path, { ...body, cursor }, headers);
    all.count += page.count;
    all.runs.push(...page.runs);
    cursor = page.next;
    isWanted = onPage(all);
  } while (cursor && isWanted);
  return all;
}

const pending = new WeakSet(); // buttons whose request is in progress
export const isPending = (button) => pending.has(button);

async function runAction(button, action, successText) {
  pending.add(button);
  button.disabled = true;
  try {
    const result = await action();
    if (button.dataset.bulk) showBulkResult(result, button.dataset.bulk);
    else if (button.dataset.delivery) showDelivery(result, button.dataset.delivery);
    else if (successText) notice(successText);
  } catch (error) {
    showError(error);
  }
  pending.delete(button);
  button.disabled = false;
}

async function pressButton(button) {
  if (button.dataset.confirm && !(await confirmAction(button.dataset.confirm, button.dataset.yes, button))) return;
  runAction(button, async () => {
    const send = button.dataset.bulk ? postPages : post;
    const run = await send(button.dataset.post, JSON.parse(button.dataset.body ?? "{}"));
    if (button.dataset.go) location.assign(button.dataset.go + run.run_id);
    return run;
  }, button.dataset.done ?? "Done.");
}

function hold(form) {
  const hours = Number(form.elements.hours.value);
  const until = hours ? new Date(Date.now() + hours * 3600e3).toISOString() : null;
  const body = { reason: form.elements.reason.value, until };
  document.activeElement?.blur();
  form.closest("dialog")?.close();
  runAction(form.querySelector("button"), () => post(`/api/v1/deployments/${form.dataset.name}/hold`, body), "Held.");
}

// Enable the buttons that `bindActions` handles. Call this for new HTML; it also prepares checkboxes of lists.
export function enableActions(root) {
  for (const element of root.querySelectorAll("[data-post], [data-select], #hold-form button")) element.disabled = false;
}

export function bindActions() {
  enableActions(document);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-post]");
    if (button) pressButton(button);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("#hold-form")) return;
    event.preventDefault();
    hold(event.target);
  });
}
