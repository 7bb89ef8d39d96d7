// The live log of a run: appends output as it arrives, follows the end, and searches. Only the newest lines are kept.
import { Pieces, Style, append } from "./ansi.js";
import { follow as stream } from "./stream.js";

const maxLines = 20000;

export function bindLog(log) {
  if (!log) return;
  const follow = document.getElementById("log-follow");
  const wrap = document.getElementById("log-wrap");
  const search = document.getElementById("log-search");
  const matchCount = document.getElementById("log-found");
  const state = document.getElementById("log-state");
  const style = new Style();
  let line = null;
  let count = 0;
  let isCut = false;
  let at = -1;
  const pieces = new Pieces();

  const searchText = () => search.value.toLowerCase();
  const highlight = (line) => {
    const text = searchText();
    line.classList.toggle("found", text !== "" && line.textContent.toLowerCase().includes(text));
  };
  const scrollToEnd = () => { if (follow.checked) log.scrollTop = log.scrollHeight; };
  const add = (piece, isLast = false) => {
    const parts = pieces.take(piece, isLast).replaceAll("\r\n", "\n").split("\n");
    parts.forEach((part, index) => {
      if (index > 0 && line) { highlight(line); line = null; }
      if (part === "" && index === parts.length - 1) return;
      if (!line) {
        line = document.createElement("div");
        line.className = "line";
        log.append(line);
        count += 1;
      }
      const begin = part.lastIndexOf("\r") + 1;
      if (begin > 0) line.replaceChildren();
      append(line, part.slice(begin), style);
    });
    while (count > maxLines) { log.firstChild.remove(); count -= 1; isCut = true; }
    if (line) highlight(line);
    scrollToEnd();
  };
  const showMatch = (step) => {
    const hits = [...log.querySelectorAll(".found")];
    log.querySelector(".here")?.classList.remove("here");
    at = hits.length ? (at + step + hits.length) % hits.length : -1;
    matchCount.textContent = !searchText() ? "" : hits.length ? `${at + 1} of ${hits.length} line${hits.length === 1 ? "" : "s"}` : "no matches";
    if (at < 0) return;
    follow.checked = false;
    hits[at].classList.add("here");
    hits[at].scrollIntoView({ block: "nearest" });
  };

  log.classList.toggle("wrap", wrap.checked);
  wrap.addEventListener("change", () => log.classList.toggle("wrap", wrap.checked));
  follow.addEventListener("change", scrollToEnd);
  log.addEventListener("wheel", (event) => { if (event.deltaY < 0) follow.checked = false; }, { passive: true });
  log.addEventListener("keydown", (event) => { if (["ArrowUp", "PageUp", "Home"].includes(event.key)) follow.checked = false; });
  search.addEventListener("input", () => { log.querySelectorAll(".line").forEach(highlight); at = -1; showMatch(1); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); showMatch(event.shiftKey ? -1 : 1); }
    if (event.key === "Escape") { search.value = ""; search.dispatchEvent(new Event("input")); }
  });

  const address = `/api/v1/runs/${log.dataset.run}/logs/stream`;
  const end = stream((last) => (last ? `${address}?offset=${last}` : address), {
    log: (event) => add(JSON.parse(event.data).text),
    end: () => {
      end();
      add("", true);
      log.dataset.ended = "true";
      state.textContent = count === 0 ? "No output."
        : isCut ? `Showing the last ${maxLines} lines; the download has all of them.` : `${count} line${count === 1 ? "" : "s"}`;
    },
  }, (isOn) => { state.textContent = isOn ? "" : "Disconnected. The log resumes where it stopped."; });
}
