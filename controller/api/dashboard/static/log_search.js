// The search of the log viewer: over all lines, by the API. Enter goes to the next hit, Shift+Enter to the previous one.
const typing = 200; // milliseconds without a key before a search
const slow = 300; // milliseconds until the status says that a search is in progress

export class Search {
  // `control(name)` returns an element of the viewer. `viewer` has the functions that the search needs of the log.
  constructor(control, viewer) {
    this.viewer = viewer;
    this.input = control("search");
    this.regex = control("regex");
    this.status = control("found");
    this.buttons = [control("previous"), control("next")];
    this.hits = [];
    this.set = new Set();
    this.count = 0;
    this.at = -1;
    this.current = 0;
    this.turn = 0;
    this.input.addEventListener("input", () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.run(true), typing); });
    this.input.addEventListener("keydown", (event) => this.press(event));
    this.regex.addEventListener("click", () => {
      this.regex.setAttribute("aria-pressed", this.regex.getAttribute("aria-pressed") !== "true");
      this.run(true);
    });
    this.buttons[0].addEventListener("click", () => this.step(-1));
    this.buttons[1].addEventListener("click", () => this.step(1));
  }

  has(number) { return this.set.has(number); }
  get isRegex() { return this.regex.getAttribute("aria-pressed") === "true"; }
  get line() { return Number(this.input.value.match(/^:(\d+)$/)?.[1] ?? 0); }

  async press(event) {
    if (event.key === "Escape") { event.preventDefault(); this.input.value = ""; this.run(); }
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (this.line) this.viewer.markLine(this.line);
    else if (this.text !== this.input.value) { clearTimeout(this.timer); await this.run(true); }
    else this.step(event.shiftKey ? -1 : 1);
  }

  // Search again. With `isMoving`, go to the first hit that is visible or comes later.
  async run(isMoving = false) {
    const turn = ++this.turn;
    const text = this.text = this.line ? "" : this.input.value;
    let result = { numbers: [], count: 0 };
    if (text) {
      const ignoreCase = text === text.toLowerCase();
      const progress = setTimeout(() => { if (turn === this.turn) this.status.textContent = "searching…"; }, slow);
      try {
        result = await this.viewer.find([["q", text], ["regex", this.isRegex], ["ignore_case", ignoreCase]]);
      } catch (error) {
        result.error = error.message;
      }
      clearTimeout(progress);
    }
    if (turn !== this.turn) return;
    this.hits = result.numbers.filter((number) => this.viewer.isShown(number));
    this.count = this.hits.length === result.numbers.length ? result.count : this.hits.length;
    this.set = new Set(this.hits);
    this.at = -1;
    this.current = 0;
    this.buttons.forEach((button) => { button.disabled = !this.hits.length; });
    this.status.textContent = !text ? "" : result.error ?? (this.hits.length ? this.count.toLocaleString() : "no matches");
    if (isMoving && this.hits.length) {
      const first = this.viewer.firstVisible();
      const index = this.hits.findIndex((number) => number >= first);
      this.show(index < 0 ? 0 : index);
    }
    this.viewer.redraw();
  }

  step(by) {
    if (this.hits.length) this.show((this.at + by + this.hits.length) % this.hits.length);
  }

  show(index) {
    this.at = index;
    this.current = this.hits[index];
    this.status.textContent = `${(index + 1).toLocaleString()} of ${this.count.toLocaleString()}`;
    this.viewer.goTo(this.current);
    this.viewer.redraw();
  }

  // Mark the text in these elements, where the browser can do it without changing them.
  highlight(elements) {
    if (!window.Highlight) return;
    const ranges = this.text && !this.isRegex ? elements.flatMap((element) => this.ranges(element)) : [];
    CSS.highlights.set("log-match", new Highlight(...ranges));
  }

  ranges(element) {
    const ignoreCase = this.text === this.text.toLowerCase();
    const ranges = [];
    const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (nodes.nextNode()) {
      const text = ignoreCase ? nodes.currentNode.data.toLowerCase() : nodes.currentNode.data;
      for (let at = text.indexOf(this.text); at >= 0 && ranges.length < 100; at = text.indexOf(this.text, at + this.text.length)) {
        if (at + this.text.length > nodes.currentNode.length) break; // lower case has another length in some languages
        const range = document.createRange();
        range.setStart(nodes.currentNode, at);
        range.setEnd(nodes.currentNode, at + this.text.length);
        ranges.push(range);
      }
    }
    return ranges;
  }
}
