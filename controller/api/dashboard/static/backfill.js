// The Backfill form: a dry run shows the due times first; then the backfill of exactly these can be started.
import { post } from "./actions.js";
import { parse, showFieldError } from "./quickrun.js";

const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const times = (count) => `${count} due time${count === 1 ? "" : "s"}`;

// The values of a datetime-local input are in the viewer's time zone.
function readTime(input, isRequired) {
  if (input.validity.badInput) throw new Error("enter a date and a time");
  if (!input.value && isRequired) throw new Error("required");
  return input.value ? new Date(input.value).toISOString() : null;
}

function readParameters(input) {
  const text = input.value.trim();
  let parameters;
  try {
    parameters = text ? parse(text) : {};
  } catch (error) {
    throw error instanceof SyntaxError ? new Error("invalid JSON; strings need double quotes") : error;
  }
  if (parameters === null || typeof parameters !== "object" || Array.isArray(parameters)) throw new Error("enter a JSON object, for example {\"days\": 3}");
  return parameters;
}

function readParallel(input) {
  const text = input.value.trim();
  if (!text) return null;
  if (!/^[1-9]\d{0,3}$/.test(text) || Number(text) > 1000) throw new Error("enter a whole number from 1 to 1000");
  return Number(text);
}

// Return the body of the request; null if a field is invalid.
function collect(form) {
  const fields = form.elements;
  const body = { redo: fields.redo.value || null, code: fields.code.value };
  let isValid = true;
  const add = (name, read) => {
    const field = fields[name].closest(".field");
    try {
      showFieldError(field, "");
      body[name] = read(fields[name]);
    } catch (error) {
      showFieldError(field, error.message);
      isValid = false;
    }
  };
  add("since", (input) => readTime(input, true));
  add("until", (input) => readTime(input, false));
  add("parallel", readParallel);
  add("parameters", readParameters);
  if (!isValid) form.querySelector(".wrong input, .wrong textarea").focus();
  return isValid ? body : null;
}

// `withoutRun`: how many of the due times have no run yet, and get one also without a redo.
function describe(result, withoutRun) {
  const total = result.times.length + result.have_run;
  const resting = result.have_run - result.planned;
  const withRun = total - result.planned - withoutRun;
  if (total === 0) return "There are no due times in this range.";
  const having = `${withRun || "none"} of the ${times(total)} in this range ${withRun === 1 ? "has" : "have"} a run already`;
  const planned = result.planned ? `; ${result.planned} will be run by another backfill` : "";
  if (!result.times.length) return `Nothing to run: ${having}${planned}.`;
  const [first, last] = [result.times[0], result.times.at(-1)].map((time) => shown.format(new Date(time)));
  const range = result.times.length === 1 ? `: ${first}` : `, from ${first} to ${last}`;
  return `This runs ${times(result.times.length)}${range}. ${having[0].toUpperCase()}${having.slice(1)}${resting ? `; ${resting} will not run again` : ""}${planned}.`;
}

export function bindBackfill(form) {
  if (!form) return;
  const url = `/api/v1/deployments/${form.dataset.name}/backfill`;
  const dryRun = form.querySelector("button:not([data-start])");
  const start = form.querySelector("[data-start]");
  const preview = document.getElementById("backfill-preview");
  let request = null; // what was shown by the last dry run
  let turn = 0;
  const say = (text, isLost = false) => {
    const place = form.querySelector("[data-problem]");
    place.textContent = text;
    place.toggleAttribute("data-lost", isLost);
    place.hidden = !text;
  };
  const reset = () => { turn += 1; request = null; start.disabled = true; preview.textContent = ""; say(""); };

  const showProblem = (error) => {
    const faults = error.errors?.filter((fault) => fault.path[0] !== "body") ?? [];
    if (!faults.length) { say([error.message, error.hint].filter(Boolean).join(" "), error.isLost); return; }
    showFieldError(form.elements.parameters.closest(".field"), faults.map((fault) => [fault.message, fault.hint].filter(Boolean).join("; ")).join(" "));
    form.elements.parameters.focus();
  };

  dryRun.disabled = false;
  form.addEventListener("input", reset);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    reset();
    const body = collect(form);
    if (!body) return;
    const own = turn;
    dryRun.disabled = true;
    try {
      const ask = (changes) => post(url, { ...body, ...changes, dry_run: true });
      const result = await ask({});
      // Without a schedule, only a redo is possible: then each due time has had a run.
      const first = body.redo ? await ask({ redo: null }).catch(() => ({ times: [] })) : result;
      if (own === turn) {
        preview.textContent = describe(result, first.times.length);
        // Without an end, later due times would be added: end with the last one that is shown.
        request = result.times.length ? { ...body, until: body.until ?? result.times.at(-1) } : null;
        start.disabled = request === null;
      }
    } catch (error) {
      showProblem(error);
    }
    dryRun.disabled = false;
  });
  start.addEventListener("click", async () => {
    start.disabled = true;
    try {
      const backfill = await post(url, request);
      if (backfill.backfill_id) location.assign(`/backfills/${backfill.backfill_id}`);
      else { reset(); say("Nothing was started: all of these due times have a run by now."); }
    } catch (error) {
      showProblem(error);
      start.disabled = false;
    }
  });
}
