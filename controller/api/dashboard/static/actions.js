// Buttons and small forms that change something, by the same API that programs use. Without this script they are off.
import { ask } from "./ask.js";

export async function post(path, body, headers = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body ?? {}),
  }).catch(() => { throw Object.assign(new Error("The controller does not answer."), { isLost: true }); });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  const error = new Error(found.detail ?? `The controller said ${answer.status}.`);
  error.hint = found.hint;
  error.errors = found.errors ?? [];
  throw error;
}

// `isLost`: it is true only for as long as the controller does not answer.
export function notice(words, tone = "good", isLost = false) {
  const place = document.getElementById("notice");
  place.className = `note ${tone}`;
  place.textContent = words;
  place.toggleAttribute("data-lost", isLost);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

export function complain(error) {
  notice([error.message, error.hint].filter(Boolean).join(" "), "bad", error.isLost);
}

export function isBack() {
  const place = document.getElementById("notice");
  if (place.hasAttribute("data-lost")) place.hidden = true;
}

async function attempt(button, act, done) {
  button.disabled = true;
  try {
    await act();
    notice(done);
  } catch (error) {
    complain(error);
  }
  button.disabled = false;
}

export function bindActions(root) {
  for (const button of root.querySelectorAll("[data-post]")) {
    button.disabled = false;
    button.addEventListener("click", async () => {
      if (button.dataset.confirm && !(await ask(button.dataset.confirm, button.dataset.yes))) return;
      attempt(button, async () => {
        const found = await post(button.dataset.post, JSON.parse(button.dataset.body ?? "{}"));
        if (button.dataset.go) location.assign(button.dataset.go + found.run_id);
      }, button.dataset.done ?? "Done.");
    });
  }
  for (const form of root.querySelectorAll("#hold-form")) {
    form.querySelector("button").disabled = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const hours = Number(form.elements.hours.value);
      const until = hours ? new Date(Date.now() + hours * 3600e3).toISOString() : null;
      const body = { reason: form.elements.reason.value, until };
      document.activeElement?.blur();
      attempt(form.querySelector("button"), () => post(`/api/v1/deployments/${form.dataset.name}/hold`, body), "Held.");
    });
  }
}
