// The form that runs a deployment: values become JSON by their kind, the controller says what is wrong before anything runs.
import { complain, notice, post } from "./actions.js";

const whole = /^[+-]?\d+$/;
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

const newKey = () => (crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2));

// A whole number that a browser would round: it is not sent as another one.
function exact(number) {
  if (Number.isInteger(number) && !Number.isSafeInteger(number) && !String(number).includes("e")) {
    throw new Error("this number is too large for a form; use the API or controller trigger");
  }
  return number;
}

function parse(text) {
  return JSON.parse(text, (_, value) => (typeof value === "number" ? exact(value) : value));
}

function read(field) {
  const input = field.querySelector("input, select, textarea");
  const kind = field.dataset.kind;
  const text = kind === "text" ? input.value : input.value.trim();
  if (text === "" && !(kind === "text" && input.dataset.touched && input.defaultValue !== "")) return undefined;
  if (kind === "text") {
    // A number is no text where seconds are meant, nor where git gives one that nobody has changed.
    const isNumber = "seconds" in field.dataset || ("number" in field.dataset && text === input.defaultValue);
    return isNumber && decimal.test(text.trim()) ? exact(Number(text)) : text;
  }
  if (kind === "integer" || kind === "number") {
    if (text === "null" && field.dataset.nullable === "true") return null;
    if (!(kind === "integer" ? whole : decimal).test(text) || !Number.isFinite(Number(text))) {
      throw new Error(kind === "integer" ? "a whole number is needed" : "a number is needed");
    }
    return exact(Number(text));
  }
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Error("this is not JSON; a text needs quotes");
  }
}

function tell(field, words) {
  field.classList.toggle("wrong", Boolean(words));
  field.querySelector("input, select, textarea").setAttribute("aria-invalid", words ? "true" : "false");
  field.querySelector(".error").textContent = words;
}

function collect(form) {
  const parameters = {};
  let isGood = true;
  for (const field of form.querySelectorAll(".field")) {
    tell(field, "");
    try {
      if ("more" in field.dataset) {
        const text = field.querySelector("textarea").value.trim();
        const more = text ? parse(text) : {};
        if (more === null || typeof more !== "object" || Array.isArray(more)) throw new Error("a JSON object is needed, like {\"days\": 3}");
        Object.assign(parameters, more);
        continue;
      }
      const value = read(field);
      if (value !== undefined) parameters[field.dataset.field] = value;
      else if (field.dataset.required === "true") throw new Error("this is needed");
    } catch (error) {
      tell(field, error instanceof SyntaxError ? "this is not JSON" : error.message);
      isGood = false;
    }
  }
  return isGood ? parameters : null;
}

function place(form, errors) {
  const rest = [];
  for (const error of errors) {
    const field = [...form.querySelectorAll(".field")].find((one) => one.dataset.field === error.path[0])
      ?? form.querySelector("[data-more]");
    const words = [error.message, error.hint].filter(Boolean).join("; ");
    if (field) tell(field, words); else rest.push(words);
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
  // Shown again from the browser's memory: it is a new wish.
  window.addEventListener("pageshow", (event) => { if (event.persisted) { key = newKey(); button.disabled = false; } });
  form.addEventListener("input", (event) => {
    event.target.dataset.touched = "true";
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const parameters = collect(form);
      if (!parameters) return;
      const active = document.activeElement;
      const found = await post(`${base}/check`, { parameters }).catch(() => ({ errors: [] }));
      place(form, found.errors);
      active?.focus();
    }, 350);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    const parameters = collect(form);
    if (!parameters) { place(form, []); return; }
    button.disabled = true;
    try {
      const run = await post(`${base}/runs`, { parameters }, { "Idempotency-Key": key });
      location.assign(`/runs/${run.run_id}`);
    } catch (error) {
      key = newKey();
      if (error.errors?.length) place(form, error.errors);
      else complain(error);
      button.disabled = false;
    }
  });
}
