// The form that runs a deployment: values become JSON by their kind, the controller says what is wrong before anything runs.
import { notice, post } from "./actions.js";

function read(field) {
  const input = field.querySelector("input, select, textarea");
  const text = input.value;
  const kind = field.dataset.kind;
  if (text === "" && !(kind === "text" && input.dataset.touched && input.defaultValue !== "")) return undefined;
  if (kind === "text") return text;
  if (kind === "integer" || kind === "number") {
    const number = Number(text);
    if (text.trim() === "null" && field.dataset.nullable === "true") return null;
    if (!Number.isFinite(number) || (kind === "integer" && !Number.isSafeInteger(number))) {
      throw new Error(kind === "integer" ? "a whole number is needed" : "a number is needed");
    }
    return number;
  }
  try {
    return JSON.parse(text);
  } catch {
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
        const more = text ? JSON.parse(text) : {};
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
  let key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
  let timer = 0;
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
      key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
      if (error.errors?.length) place(form, error.errors);
      else notice([error.message, error.hint].filter(Boolean).join(" "), "bad");
      button.disabled = false;
    }
  });
}
