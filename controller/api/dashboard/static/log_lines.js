// The lines of a run's log, read from the API when they are needed and kept for a while, and searches over all lines.
const batch = 250;
const maxKept = 5000;

export class Lines {
  // `changed(numbers)` is called when lines have arrived, `resized()` when the log has other lines or attempts.
  constructor(run, changed, resized) {
    this.address = `/api/v1/runs/${run}/logs`;
    this.changed = changed;
    this.resized = resized;
    this.kept = new Map();
    this.total = 0;
    this.attempts = [];
    this.isComplete = false;
    this.isLoading = false;
    this.error = "";
  }

  get(number) { return this.kept.get(number); }

  // The attempt that the line between two attempts introduces.
  introduced(number) { return this.attempts.find((attempt, index) => index > 0 && attempt.first_line - 1 === number); }

  async fetch(path) {
    const response = await fetch(this.address + path, { cache: "no-store" });
    const result = await response.json();
    if (!response.ok) throw new Error(result.detail ?? `HTTP ${response.status}`);
    return result;
  }

  async load(query) {
    const result = await this.fetch(`/lines?${query}`);
    const isOther = result.total_lines !== this.total || result.complete !== this.isComplete
      || JSON.stringify(result.attempts) !== JSON.stringify(this.attempts);
    Object.assign(this, { total: result.total_lines, attempts: result.attempts, isComplete: result.complete });
    if (this.kept.size > maxKept) this.kept.clear();
    for (const line of result.lines) this.kept.set(line.number, line);
    if (isOther) this.resized();
    this.changed(result.lines.map((line) => line.number));
    return result.lines;
  }

  // Load those of these lines that are missing. Only one request is in progress: `changed` leads to the next one.
  async need(numbers) {
    const missing = numbers.filter((number) => !this.kept.has(number) && number <= this.total);
    if (!missing.length || this.isLoading) return;
    this.isLoading = true;
    const first = missing[0];
    const span = missing[missing.length - 1] - first;
    try {
      const lines = await this.load(span < batch
        ? `from_line=${Math.max(1, first - Math.floor((batch - span) / 2))}&count=${batch}`
        : missing.slice(0, batch).map((number) => `line=${number}`).join("&"));
      this.isLoading = false;
      if (lines.length) this.changed([]);
    } catch {
      this.isLoading = false; // the next scroll tries again
    }
  }

  // Read what was added: the last line may have been incomplete.
  async grow(total, isEndVisible) {
    const old = this.total;
    if (isEndVisible) await this.load(`from_line=${Math.max(1, old, total - batch + 1)}&count=${batch}`);
    else { this.kept.delete(old); await this.load("from_line=-1&count=1"); }
  }

  search(parameters) {
    return this.fetch(`/search?${new URLSearchParams([["limit", "0"], ...parameters])}`);
  }
}
