// The log viewer of a run: shows lines of any number, marks, searches, filters and copies them, and follows a run in progress.
import { Style, append, plain } from "./ansi.js";
import { List } from "./log_list.js";
import { Lines } from "./log_lines.js";
import { Search } from "./log_search.js";
import { writeClipboard } from "./copy.js";
import { follow as stream } from "./stream.js";

const viewer = document.getElementById("log-viewer");
const log = document.getElementById("log");
const control = (name) => document.getElementById(`log-${name}`);
const follow = control("follow");
const maxCopied = 20000; // lines
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

let attempt = null; // the number of the selected attempt
let filtered = null; // the lines with the selected levels: their numbers, and the index of each number
let errors = []; // the numbers of the lines with errors
let marked = [0, 0]; // the first and the last marked line
let lastTop = 0;
let hasMoved = false; // by the user

const range = () => {
  const selected = lines.attempts.find((other) => other.number === attempt);
  return selected ? [selected.first_line, selected.lines] : [1, lines.total];
};
const count = () => (filtered ? filtered.numbers.length : range()[1]);
const numberAt = (index) => (filtered ? filtered.numbers[index] : range()[0] + index);
const indexOf = (number) => (filtered ? filtered.indexes.get(number) ?? -1 : number - range()[0]);

// Marking ----------------------------------------------------------------------------------------------------------------

function decorate(row, number) {
  row.classList.toggle("marked", number >= marked[0] && number <= marked[1]);
  row.classList.toggle("hit", search.has(number));
  row.classList.toggle("here", search.current === number);
}

function decorateAll() {
  for (const [index, row] of list.rows) decorate(row, numberAt(index));
  search.highlight([...list.rows.values()].filter((row) => row.classList.contains("hit")).map((row) => row.lastElementChild));
}

function readHash() {
  const match = location.hash.match(/^#L(\d+)(?:-L(\d+))?$/);
  if (!match) return 0;
  marked = [Number(match[1]), Number(match[2] ?? match[1])].sort((a, b) => a - b);
  return marked[0];
}

function goTo(number) {
  if (indexOf(number) < 0 || indexOf(number) >= count()) selectView(null, []);
  if (follow.checked && !lines.isComplete) follow.checked = false;
  hasMoved = true;
  list.center(indexOf(number));
  lastTop = log.scrollTop;
}

// Scroll the page, if the marked line is outside of the window.
function showMarked() {
  decorateAll();
  list.rows.get(indexOf(marked[0]))?.scrollIntoView({ block: "nearest" });
}

// Rows -------------------------------------------------------------------------------------------------------------------

function fill(row, index) {
  const number = numberAt(index);
  const line = lines.get(number);
  const introduced = lines.introduced(number);
  row.className = `row ${introduced ? "separator" : (line?.level ?? "").toLowerCase().replace("critical", "error")}`;
  const link = document.createElement("a");
  Object.assign(link, { className: "num", href: `#L${number}`, tabIndex: -1, textContent: number });
  const at = document.createElement("span");
  at.className = "at";
  const time = introduced ? introduced.started_at : line?.time;
  at.textContent = time ? clock.format(new Date(time)) : " ".repeat(12);
  if (time) at.title = full.format(new Date(time));
  const text = document.createElement("div");
  text.className = "line";
  if (introduced) text.textContent = separator(introduced);
  else if (line) append(text, line.text.slice(line.text.lastIndexOf("\r") + 1), new Style());
  if (line?.left_out) {
    const more = document.createElement("span");
    more.className = "more";
    more.textContent = ` … ${line.left_out.toLocaleString()} more bytes in the download`;
    text.append(more);
  }
  row.append(link, at, text);
  decorate(row, number);
}

function separator({ number, started_at: started }) {
  const before = lines.attempts[lines.attempts.findIndex((other) => other.number === number) - 1];
  return [`attempt ${number}`, started && clock.format(new Date(started)).slice(0, 8), `after attempt ${before.number} ${before.state.replace("_", " ")}`].filter(Boolean).join(" · ");
}

const list = new List(log, fill, (first, last) => {
  lines.need(Array.from({ length: last - first }, (_, index) => numberAt(first + index)));
});

const lines = new Lines(viewer.dataset.run, (numbers) => {
  list.update(numbers.map(indexOf));
  if (numbers.some((number) => lines.get(number)?.level)) control("levels").hidden = false;
  if (follow.checked && !lines.isComplete) { list.scrollToEnd(); lastTop = log.scrollTop; }
  decorateAll();
}, () => {
  log.style.setProperty("--digits", `${Math.max(3, String(lines.total).length)}ch`);
  list.resize(count());
  showAttempts();
  showState();
});

function showState(text) {
  const total = count();
  const noun = filtered || attempt ? `of ${lines.total.toLocaleString()} lines` : `line${total === 1 ? "" : "s"}`;
  control("state").textContent = text ?? (lines.total === 0 && lines.isComplete ? "No output." : `${total.toLocaleString()} ${noun}`);
}

// Attempts and levels ----------------------------------------------------------------------------------------------------

function showAttempts() {
  const group = control("attempts");
  group.hidden = lines.attempts.length < 2;
  const wanted = [[null, "All"], ...lines.attempts.map((other) => [other.number, `${other.number} ${other.state.replace("_", " ")}`])];
  if (group.dataset.shown !== JSON.stringify(wanted)) {
    group.dataset.shown = JSON.stringify(wanted);
    const focused = [...group.children].indexOf(document.activeElement);
    group.replaceChildren(...wanted.map(([number, text]) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "log-chip", textContent: text });
      button.dataset.attempt = number ?? "";
      button.addEventListener("click", () => selectView(number, selectedLevels()).then(showStart));
      return button;
    }));
    group.children[focused]?.focus();
  }
  for (const button of group.children) button.setAttribute("aria-pressed", button.dataset.attempt === String(attempt ?? ""));
}

const selectedLevels = () => [...control("levels").querySelectorAll('[aria-pressed="true"]')].map((button) => button.dataset.level);

async function findLevels(levels) {
  const parameters = levels.flatMap((level) => (level === "ERROR" ? [["level", "ERROR"], ["level", "CRITICAL"]] : [["level", level]]));
  return (await lines.search([...parameters, ...(attempt ? [["attempt", attempt]] : [])])).numbers;
}

// Show the lines of one attempt, or of all, with these levels, or all.
async function selectView(number, levels) {
  attempt = number;
  for (const button of control("levels").children) button.setAttribute("aria-pressed", levels.includes(button.dataset.level));
  filtered = null;
  if (levels.length) {
    try {
      const numbers = await findLevels(levels);
      filtered = { numbers, indexes: new Map(numbers.map((line, index) => [line, index])) };
    } catch (error) {
      showState(error.message);
      return;
    }
  }
  showAttempts();
  list.resize(count(), true);
  showState();
  search.run();
}

// A failed attempt is read from its end, others from the start.
function showStart() {
  const selected = lines.attempts.find((other) => other.number === attempt);
  const state = selected?.state ?? viewer.dataset.state;
  if (["succeeded", "skipped"].includes(state) || filtered) list.scrollToStart(); else list.scrollToEnd();
  lastTop = log.scrollTop;
}

async function findErrors() {
  try { errors = (await lines.search([])).numbers; } catch { return; }
  control("error").hidden = errors.length === 0;
  if (errors.length) control("levels").hidden = false;
  const last = errors[errors.length - 1];
  const isFailed = lines.isComplete && !["succeeded", "skipped"].includes(viewer.dataset.state);
  if (isFailed && last && !hasMoved && !list.visible().includes(indexOf(last))) { list.center(indexOf(last)); lastTop = log.scrollTop; }
}

// Search -----------------------------------------------------------------------------------------------------------------

const search = new Search(control, {
  find: async (parameters) => {
    await started; // a search from the URL may come before the first lines
    return lines.search([...parameters, ...(attempt ? [["attempt", attempt]] : [])]);
  },
  isShown: (number) => !filtered || filtered.indexes.has(number),
  firstVisible: () => { const visible = list.visible(); return visible.length ? numberAt(Math.min(...visible)) : 1; },
  goTo,
  redraw: decorateAll,
  markLine: (number) => { location.hash = `L${Math.min(Math.max(1, number), lines.total)}`; },
});

// Controls ---------------------------------------------------------------------------------------------------------------

function bindOption(name, initial) {
  const box = control(name);
  const saved = localStorage.getItem(`log-${name}`);
  box.checked = saved === null ? initial : saved === "true";
  const apply = () => { log.classList.toggle(name, box.checked); list.draw(); };
  box.addEventListener("change", () => { localStorage.setItem(`log-${name}`, box.checked); apply(); });
  apply();
}

async function copy() {
  const [first, last] = marked[0] ? marked : [];
  const numbers = first ? Array.from({ length: last - first + 1 }, (_, index) => first + index) : Array.from({ length: count() }, (_, index) => numberAt(index));
  if (numbers.length > maxCopied) { showState(`More than ${maxCopied.toLocaleString()} lines: use the download.`); return; }
  const texts = new Map();
  for (let from = 0; from < numbers.length; from += 250) {
    const part = numbers.slice(from, from + 250);
    const isDense = part[part.length - 1] - part[0] < 250;
    const { lines: loaded } = await lines.fetch(`/lines?${isDense ? `from_line=${part[0]}&count=${part.length}` : part.map((number) => `line=${number}`).join("&")}`);
    for (const line of loaded) texts.set(line.number, plain(line.text));
  }
  const text = numbers.filter((number) => texts.has(number)).map((number) => texts.get(number)).join("\n");
  showState(await writeClipboard(text) ? `Copied ${texts.size.toLocaleString()} line${texts.size === 1 ? "" : "s"}.` : "The browser does not allow copying.");
}

function setFull(isFull) {
  viewer.classList.toggle("full", isFull);
  control("full").setAttribute("aria-pressed", isFull);
  control("full").textContent = isFull ? "Exit full screen" : "Full screen";
  if (follow.checked && !lines.isComplete) list.scrollToEnd();
}

log.addEventListener("scroll", () => {
  if (log.scrollTop < lastTop - 1) { hasMoved = true; if (!lines.isComplete) follow.checked = false; }
  lastTop = log.scrollTop;
}, { passive: true });
log.addEventListener("click", (event) => {
  const link = event.target.closest(".num");
  if (!link || !event.shiftKey || !marked[0]) return;
  event.preventDefault();
  const [first, last] = [marked[0], Number(link.textContent)].sort((a, b) => a - b);
  location.hash = `L${first}-L${last}`;
});
window.addEventListener("hashchange", () => {
  const number = readHash();
  if (!number) return;
  if (!list.visible().includes(indexOf(number))) goTo(number);
  showMarked();
});
follow.addEventListener("change", () => { if (follow.checked) { list.scrollToEnd(); lastTop = log.scrollTop; } });
control("levels").addEventListener("click", ({ target }) => {
  const level = target.dataset.level;
  if (!level) return;
  const levels = selectedLevels();
  selectView(attempt, levels.includes(level) ? levels.filter((other) => other !== level) : [...levels, level]).then(showStart);
});
control("error").addEventListener("click", () => {
  if (location.hash === `#L${errors[0]}`) goTo(errors[0]); else location.hash = `L${errors[0]}`;
});
control("copy").addEventListener("click", () => copy().catch((error) => showState(error.message)));
control("full").addEventListener("click", () => setFull(!viewer.classList.contains("full")));
viewer.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && viewer.classList.contains("full") && event.target !== control("search")) setFull(false);
});

// Start ------------------------------------------------------------------------------------------------------------------

function followRun() {
  let pending = Promise.resolve();
  const grow = (total) => {
    pending = pending.then(() => lines.grow(total, follow.checked || list.isAtEnd)).catch(() => {});
    return pending;
  };
  const open = () => stream(() => `${lines.address}/stream?count_only=true`, {
    log: (event) => grow(JSON.parse(event.data).total_lines),
    end: async (event) => {
      end();
      document.removeEventListener("visibilitychange", change);
      viewer.dataset.state = JSON.parse(event.data).state;
      await grow(lines.total);
      finish();
    },
  }, (isOn) => showState(isOn ? undefined : "Disconnected. The log resumes where it stopped."));
  // Browsers allow six connections to a server, so hidden tabs must not keep any.
  const change = () => {
    end();
    if (!document.hidden) end = open();
  };
  let end = document.hidden ? () => {} : open();
  document.addEventListener("visibilitychange", change);
}

function finish() {
  log.dataset.ended = "true";
  follow.closest("label").hidden = true;
  showState();
  findErrors();
}

async function start() {
  bindOption("wrap", true);
  bindOption("times", window.innerWidth > 640);
  const number = readHash();
  const isRead = ["succeeded", "skipped"].includes(viewer.dataset.state);
  try {
    await lines.load(`count=250&from_line=${number ? Math.max(1, number - 100) : isRead ? 1 : -250}`);
  } catch (error) {
    showState(error.message);
    return;
  }
  if (number) { follow.checked = false; goTo(number); showMarked(); } else showStart();
  decorateAll();
  if (lines.isComplete) finish(); else followRun();
}

const started = start();
