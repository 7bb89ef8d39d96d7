// The output of a run, live: lines as they come, search, follow. The oldest lines go when there are very many.
import { Style, append } from "./ansi.js";

const most = 20000;

export function bindLog(log) {
  if (!log) return;
  const follow = document.getElementById("log-follow");
  const wrap = document.getElementById("log-wrap");
  const search = document.getElementById("log-search");
  const found = document.getElementById("log-found");
  const style = new Style();
  let line = null;
  let count = 0;
  let isCut = false;

  const isWanted = () => search.value.toLowerCase();
  const mark = (one) => {
    const wanted = isWanted();
    one.classList.toggle("found", wanted !== "" && one.textContent.toLowerCase().includes(wanted));
  };
  const add = (text) => {
    const parts = text.replaceAll("\r\n", "\n").split("\n");
    parts.forEach((part, index) => {
      if (index > 0 && line) { mark(line); line = null; }
      if (part === "" && index === parts.length - 1) return;
      if (!line) {
        line = document.createElement("div");
        line.className = "line";
        log.append(line);
        count += 1;
      }
      append(line, part.slice(part.lastIndexOf("\r") + 1), style);
    });
    while (count > most) { log.firstChild.remove(); count -= 1; isCut = true; }
    if (line) mark(line);
    if (follow.checked) log.scrollTop = log.scrollHeight;
  };
  const say = (words) => {
    const last = document.createElement("div");
    last.className = "quiet-line";
    last.textContent = words;
    log.append(last);
    if (follow.checked) log.scrollTop = log.scrollHeight;
  };
  const look = () => {
    let hits = 0;
    let first = null;
    for (const one of log.querySelectorAll(".line")) {
      mark(one);
      if (one.classList.contains("found")) { hits += 1; first ??= one; }
    }
    found.textContent = isWanted() ? `${hits} line${hits === 1 ? "" : "s"}` : "";
    if (first) { follow.checked = false; first.scrollIntoView({ block: "center" }); }
  };

  log.classList.toggle("wrap", wrap.checked);
  wrap.addEventListener("change", () => log.classList.toggle("wrap", wrap.checked));
  follow.addEventListener("change", () => { if (follow.checked) log.scrollTop = log.scrollHeight; });
  log.addEventListener("wheel", (event) => { if (event.deltaY < 0) follow.checked = false; }, { passive: true });
  search.addEventListener("input", look);

  const stream = new EventSource(`/api/v1/runs/${log.dataset.run}/logs/stream`);
  stream.addEventListener("log", (event) => add(JSON.parse(event.data).text));
  stream.addEventListener("end", () => {
    stream.close();
    if (isCut) say("(the beginning is not shown; download the log for all of it)");
    if (count === 0) say("It printed nothing.");
    log.dataset.ended = "true";
  });
}
