// The Quick run form: converts each field to JSON by its kind, and lets the controller check the parameters before anything runs.
import { newKey, notice, post, showError } from "./actions.js";

const whole = /^[+-]?\d+$/;
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

// Reject integers that JavaScript would round, instead of sending a different number.
function exact(number) {
  if (Number.isInteger(number) && !Number.isSafeInteger(number) && !String(number).includes("e")) {
    throw new Error("number too large for this form; use the API or `controller trigger`");
  }
  return number;
}

export function parse(text) {
  return JSON.parse(text, (_, value) => (typeof value === "number" ? exact(value) : value));
}

function read(field) {
  const input = field.querySelector("input, select, textarea");
  const kind = field.dataset.kind;
  const text = kind === "text" ? input.value : input.value.trim();
  if (text === "" && !(kind === "text" && input.dataset.touched && input.defaultValue !== "")) return undefined;
  if (kind === "text") {
    // Send a number instead of a string for a duration in seconds, and for an unchanged value that is a number in git.
    const isNumber = "seconds" in field.dataset || ("number" in field.dataset && text === input.defaultValue);
    return isNumber && decimal.test(text.trim()) ? exact(Number(text)) : text;
  }
  if (kind === "integer" || kind === "number") {
    if (text === "null" && field.dataset.nullable === "true") return null;
    if (!(kind === "integer" ? whole : decimal).test(text) || !Number.isFinite(Number(text))) {
      throw new Error(kind === "integer" ? "enter a whole number" : "enter a number");
    }
    return exact(Number(text));
  }
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Error("invalid JSON; strings need double quotes");
  }
}

export function showFieldError(field, message) {
  field.classList.toggle("wrong", Boolean(message));
  field.querySelector("input, select, textarea").setAttribute("aria-invalid", message ? "true" : "false");
  field.querySelector(".error").textContent = message;
}

function collect(form) {
  const parameters = {};
  let isValid = true;
  for (const field of form.querySelectorAll(".field")) {
    showFieldError(field, "");
    try {
      if ("more" in field.dataset) {
        const text = field.querySelector("textarea").value.trim();
        const more = text ? parse(text) : {};
        if (more === null || typeof more !== "object" || Array.isArray(more)) throw new Error("enter a JSON object, for example {\"days\": 3}");
        Object.assign(parameters, more);
        continue;
      }
      const value = read(field);
      if (value !== undefined) parameters[field.dataset.field] = value;
      else if (field.dataset.required === "true") throw new Error("required");
    } catch (error) {
      showFieldError(field, error instanceof SyntaxError ? "invalid JSON" : error.message);
      isValid = false;
    }
  }
  return isValid ? parameters : null;
}

function showErrors(form, errors) {
  const rest = [];
  for (const error of errors) {
    const field = [...form.querySelectorAll(".field")].find((field) => field.dataset.field === error.path[0])
      ?? form.querySelector("[data-more]");
    const message = [error.message, error.hint].filter(Boolean).join("; ");
    if (field) showFieldError(field, message); else rest.push(message);
  }
  if (rest.length) notice(rest.join(" "), "bad");
  form.querySelector(".wrong input, .wrong select, .wrong textarea")?.focus();
}

export function bindForm(form) {
  if (!form) return;
  const base = `/api/v1/deployments/${form.dataset.name}`;
  const button = form.querySelector("button");
  button.disabled = false;
  let key = newKey();
  let timer = 0;
  // Restored from the back/forward cache: the next submission is a new request.
  window.addEventListener("pageshow", (event) => { if (event.persisted) { key = newKey(); button.disabled = false; } });
  form.addEventListener("input", (event) => {
    event.target.dataset.touched = "true";
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const parameters = collect(form);
      if (!parameters) return;
      const active = document.activeElement;
      const result = await post(`${base}/check`, { parameters }).catch(() => ({ errors: [] }));
      showErrors(form, result.errors);
      active?.focus();
    }, 350);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    const parameters = collect(form);
    if (!parameters) { showErrors(form, []); return; }
    button.disabled = true;
    try {
      const run = await post(`${base}/runs`, { parameters }, { "Idempotency-Key": key });
      location.assign(`/runs/${run.run_id}`);
    } catch (error) {
      key = newKey();
      if (error.errors?.length) showErrors(form, error.errors);
      else showError(error);
      button.disabled = false;
    }
  });
}
