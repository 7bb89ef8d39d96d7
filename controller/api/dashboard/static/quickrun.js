// The Quick run form: converts each field to JSON by its kind, and lets the controller check the parameters before anything runs.
import { newKey, post } from "./actions.js";

const whole = /^[+-]?\d+$/;
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const pauseBeforeCheck = 350; // milliseconds after the last key

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

const fieldsIn = (place) => place.querySelectorAll(":scope > .field");
const innerFields = (field) => fieldsIn(field.querySelector(":scope > .group-fields"));
const inputOf = (field) => field.querySelector("input:not([data-null]), select, textarea");

function readNumber(field, text) {
  const isWhole = field.dataset.kind === "integer";
  if (!(isWhole ? whole : decimal).test(text) || !Number.isFinite(Number(text))) {
    throw new Error(isWhole ? "enter a whole number" : "enter a number");
  }
  return exact(Number(text));
}

function readMoment(field, text) {
  const zone = field.querySelector("[data-zone-choice]").value;
  if (zone === "local") return new Date(text).toISOString();
  const withSeconds = /:\d\d:/.test(text) ? text : `${text}:00`;
  return zone === "UTC" ? `${withSeconds}Z` : withSeconds;
}

const badInputs = { number: "enter a number", date: "enter a date", "datetime-local": "enter a date and a time", time: "enter a time" };

// Return the value of a field; undefined if it is empty.
function read(field, problems) {
  if (field.querySelector(":scope > .null input")?.checked) return null;
  const kind = field.dataset.kind;
  if (kind === "object") {
    const values = collect(innerFields(field), problems, true);
    return Object.keys(values).length ? values : undefined;
  }
  const input = inputOf(field);
  if (input.validity.badInput) throw new Error(kind === "integer" ? "enter a whole number" : badInputs[input.type]);
  const text = kind === "text" ? input.value : input.value.trim();
  if (text === "") return undefined;
  if (input.type === "datetime-local") return readMoment(field, text);
  if (kind === "text") {
    // Send a number instead of a string for a duration in seconds, and for an unchanged value that is a number in git.
    const isNumber = "seconds" in field.dataset || ("number" in field.dataset && text === input.defaultValue);
    return isNumber && decimal.test(text.trim()) ? exact(Number(text)) : text;
  }
  if (kind === "integer" || kind === "number") return readNumber(field, text);
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Error("invalid JSON; strings need double quotes");
  }
}

function readMore(field) {
  const text = field.querySelector("textarea").value.trim();
  let more;
  try {
    more = text ? parse(text) : {};
  } catch (error) {
    throw error instanceof SyntaxError ? new Error("invalid JSON") : error;
  }
  if (more === null || typeof more !== "object" || Array.isArray(more)) throw new Error("enter a JSON object, for example {\"days\": 3}");
  return more;
}

// Return the values of these fields, and add those that are invalid to `problems` (a map from fields to messages).
// In an object, fields are needed only if another one has a value.
function collect(fields, problems, isInner = false) {
  const values = {};
  const missing = [];
  for (const field of fields) {
    try {
      if ("more" in field.dataset) { Object.assign(values, readMore(field)); continue; }
      const value = read(field, problems);
      if (value !== undefined) values[field.dataset.field] = value;
      else if ("needed" in field.dataset) missing.push(field);
    } catch (error) {
      problems.set(field, error.message);
    }
  }
  if (!isInner || Object.keys(values).length) {
    for (const field of missing) problems.set(field, field.dataset.required === "true" ? "required" : "required; Reset to declared restores the value in git");
  }
  return values;
}

export function showFieldError(field, message) {
  field.classList.toggle("wrong", Boolean(message));
  inputOf(field).setAttribute("aria-invalid", message ? "true" : "false");
  field.querySelector(":scope > .error").textContent = message;
}

// Return the field of a value, or the innermost one around it; undefined if the form has none.
function findField(form, path) {
  let place = form;
  let field;
  for (const part of path) {
    const next = place && [...fieldsIn(place)].find((candidate) => candidate.dataset.field === part);
    if (!next) break;
    field = next;
    place = field.querySelector(":scope > .group-fields");
  }
  return field ?? form.querySelector(":scope > [data-more]") ?? undefined;
}

function showProblem(form, text, isLost = false) {
  const place = form.querySelector("[data-problem]");
  place.textContent = text;
  place.toggleAttribute("data-lost", isLost);
  place.hidden = !text;
}

// Show all problems: those that the form has found, and those that the controller has found in other fields.
function showProblems(form, problems, errors) {
  const all = new Map(problems);
  const rest = [];
  for (const error of errors) {
    const message = [error.message, error.hint].filter(Boolean).join("; ");
    const field = findField(form, error.path);
    if (!field) rest.push(message);
    else if (![...problems.keys()].some((other) => other === field || field.contains(other))) all.set(field, all.has(field) ? `${all.get(field)}; ${message}` : message);
  }
  for (const field of form.querySelectorAll(".field")) showFieldError(field, all.get(field) ?? "");
  showProblem(form, rest.join(" "));
  return all.size + rest.length;
}

function setNull(field, isNull) {
  const box = field.querySelector(":scope > .null input");
  if (box) box.checked = isNull;
  field.classList.toggle("is-null", isNull);
}

// Show a value in a field; undefined empties it.
function fill(field, value) {
  setNull(field, value === null);
  if (field.dataset.kind === "object") {
    for (const inner of innerFields(field)) fill(inner, value?.[inner.dataset.field]);
    return;
  }
  const input = inputOf(field);
  const isEmpty = value === undefined || value === null;
  let text = isEmpty ? "" : field.dataset.kind === "json" || input.tagName === "SELECT" || typeof value !== "string" ? JSON.stringify(value) : value;
  if (input.type === "datetime-local" && !isEmpty) {
    const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(text);
    field.querySelector("[data-zone-choice]").value = hasZone ? "UTC" : "";
    if (hasZone) text = new Date(text).toISOString().slice(0, 19);
  }
  input.value = text;
}

function quote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function isJson(text) {
  try { JSON.parse(text); return true; } catch { return false; }
}

function commandFor(name, values, declared) {
  const changed = Object.entries(values).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(declared[key]));
  const pairs = changed.map(([key, value]) => `--param ${quote(`${key}=${typeof value === "string" && !isJson(value) ? value : JSON.stringify(value)}`)}`);
  return ["controller trigger", name, ...pairs].join(" ");
}

// "same as run": fill in the parameters of an earlier run. "Reset to declared": the values from git.
function bindTools(form, changed) {
  const choice = form.querySelector("[data-like]");
  const button = form.querySelector("[data-reset]");
  if (!choice) return;
  const reset = () => {
    form.reset();
    for (const field of form.querySelectorAll(".field")) setNull(field, field.querySelector(":scope > .null input")?.checked ?? false);
  };
  choice.disabled = button.disabled = false;
  button.addEventListener("click", () => { reset(); changed(); });
  const fillLike = async () => {
    const { value } = choice;
    reset();
    choice.value = value;
    if (value) {
      const response = await fetch(`/api/v1/runs/${value}`).catch(() => null);
      if (!response?.ok) { showProblem(form, "The parameters of this run can't be read."); return; }
      const parameters = { ...(await response.json()).parameters };
      for (const field of fieldsIn(form)) {
        if ("more" in field.dataset) continue;
        fill(field, parameters[field.dataset.field]);
        delete parameters[field.dataset.field];
      }
      const more = form.querySelector(":scope > [data-more] textarea");
      if (more && Object.keys(parameters).length) more.value = JSON.stringify(parameters);
    }
    changed();
  };
  choice.addEventListener("change", fillLike);
  const preselected = choice.querySelector("[data-preselect]"); // of a URL with ?like=
  if (preselected) { choice.value = preselected.value; fillLike(); }
}

export function bindForm(form) {
  if (!form) return;
  const base = `/api/v1/deployments/${form.dataset.name}`;
  const button = form.querySelector("[data-submit]");
  const command = document.getElementById("run-command");
  const declared = collect(fieldsIn(form), new Map());
  button.disabled = false;
  let key = newKey();
  let timer = 0;
  let turn = 0;

  const check = async () => {
    const own = (turn += 1);
    const problems = new Map();
    const parameters = collect(fieldsIn(form), problems);
    command.textContent = commandFor(form.dataset.name, parameters, declared);
    const result = await post(`${base}/check`, { parameters }).catch((error) => ({ errors: error.errors ?? [] }));
    return own === turn ? showProblems(form, problems, result.errors) : 1;
  };
  const changed = () => {
    clearTimeout(timer);
    showProblem(form, "");
    command.textContent = commandFor(form.dataset.name, collect(fieldsIn(form), new Map()), declared);
    timer = setTimeout(check, pauseBeforeCheck);
  };

  // Restored from the back/forward cache: the next submission is a new request.
  window.addEventListener("pageshow", (event) => { if (event.persisted) { key = newKey(); button.disabled = false; } });
  bindTools(form, changed);
  form.addEventListener("input", (event) => {
    if (event.target.matches("[data-like]")) return;
    const field = event.target.closest(".field");
    if (field) setNull(field, event.target.matches("[data-null]") && event.target.checked);
    changed();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    turn += 1;
    const problems = new Map();
    const parameters = collect(fieldsIn(form), problems);
    if (problems.size) {
      await check();
      form.querySelector(".wrong :is(input, select, textarea)")?.focus();
      return;
    }
    button.disabled = true;
    try {
      const run = await post(`${base}/runs`, { parameters }, { "Idempotency-Key": key });
      location.assign(`/runs/${run.run_id}`);
    } catch (error) {
      key = newKey();
      showProblems(form, problems, error.errors ?? []);
      if (!error.errors?.length) showProblem(form, [error.message, error.hint].filter(Boolean).join(" "), error.isLost);
      form.querySelector(".wrong :is(input, select, textarea)")?.focus();
      button.disabled = false;
    }
  });
}
