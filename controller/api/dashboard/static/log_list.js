// A list of rows of which only those near the visible part exist in the document, unless it is short. Rows may have different heights.
//
// The scroll position is a share of the list: at 30 % of the way, the line at 30 % of the lines is at 30 % of the height of the
// window. With rows of equal height this is ordinary scrolling; otherwise no height of an invisible row needs to be known.
const margin = 20; // rows above and below the visible part
const maxRows = 200;
const maxWhole = 150; // rows of a list that is in the document as a whole, and only as high as its rows
const maxHeight = 15e6; // pixels; browsers limit the height of an element

export class List {
  // `fill(row, index)` writes the content of an empty row; `show(first, last)` is called with the rows that exist now.
  constructor(element, fill, show) {
    this.element = element;
    this.space = element.firstElementChild;
    this.place = this.space.firstElementChild;
    this.fill = fill;
    this.show = show;
    this.count = 0;
    this.rows = new Map();
    this.height = 0;
    this.isWaiting = false;
    element.addEventListener("scroll", () => this.drawSoon(), { passive: true });
    new ResizeObserver(() => { this.height = 0; this.drawSoon(); }).observe(element);
  }

  get isWhole() { return this.count <= maxWhole; }
  get end() { return Math.max(0, this.space.offsetHeight - this.element.clientHeight); }
  get isAtEnd() { return this.element.scrollTop >= this.end - this.height; }

  // The number of rows changes; with `isNew`, they are other rows.
  resize(count, isNew) {
    if (isNew) this.clear();
    for (const [index, row] of this.rows) if (index >= count) { row.remove(); this.rows.delete(index); }
    this.count = count;
    this.draw();
  }

  clear() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
  }

  // Write the content of existing rows again.
  update(indexes) {
    for (const index of indexes) {
      const row = this.rows.get(index);
      if (row) { row.replaceChildren(); this.fill(row, index); }
    }
    this.draw();
  }

  drawSoon() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => { this.isWaiting = false; this.draw(); });
  }

  draw() {
    const { element } = this;
    const view = element.clientHeight;
    if (!view) return; // in a hidden part of the page
    if (!this.height) this.height = this.measure();
    this.space.classList.toggle("whole", this.isWhole);
    if (this.isWhole) {
      this.space.style.height = this.place.style.transform = "";
      this.keep(0, this.count);
      this.show(0, this.count);
      return;
    }
    this.space.style.height = `${Math.min(this.count * this.height, maxHeight)}px`;
    const share = this.end > 0 ? Math.min(1, Math.max(0, element.scrollTop / this.end)) : 0;
    const anchor = share * this.count;
    const y = share * view;
    const first = Math.max(0, Math.floor(anchor - y / this.height) - margin);
    const last = Math.min(this.count, Math.ceil(anchor + (view - y) / this.height) + margin, first + maxRows);
    this.keep(first, last);
    const index = Math.min(Math.floor(anchor), last - 1);
    const row = this.rows.get(index);
    if (row) {
      const above = row.offsetTop + (anchor - index) * row.offsetHeight;
      this.place.style.transform = `translateY(${Math.round(element.scrollTop + y - above)}px)`;
    }
    this.show(first, last);
  }

  keep(first, last) {
    for (const [index, row] of this.rows) if (index < first || index >= last) { row.remove(); this.rows.delete(index); }
    let next = this.place.firstElementChild;
    for (let index = first; index < last; index++) {
      const row = this.rows.get(index);
      if (row) { next = row.nextElementSibling; continue; }
      const fresh = document.createElement("div");
      this.rows.set(index, fresh);
      this.fill(fresh, index);
      this.place.insertBefore(fresh, next);
    }
  }

  measure() {
    const row = document.createElement("div");
    row.className = "row";
    this.place.append(row);
    const { height } = row.getBoundingClientRect();
    row.remove();
    return height;
  }

  // The indexes of the rows that are visible, at least in part.
  visible() {
    const { top, bottom } = this.element.getBoundingClientRect();
    return [...this.rows].filter(([, row]) => {
      const box = row.getBoundingClientRect();
      return box.bottom > top + 1 && box.top < bottom - 1;
    }).map(([index]) => index);
  }

  scrollToStart() { this.element.scrollTop = 0; this.draw(); }

  scrollToEnd() { this.draw(); this.element.scrollTop = this.end; this.draw(); }

  // Move a row to the middle. With rows of different heights, the first estimate is corrected.
  center(index) {
    if (!this.height) this.draw();
    const view = this.element.clientHeight;
    if (this.isWhole) {
      const row = this.rows.get(index);
      if (row) this.element.scrollTop = row.offsetTop + (row.offsetHeight - view) / 2;
      return;
    }
    const scale = this.space.offsetHeight / Math.max(1, this.count * this.height);
    let target = ((index + 0.5) * this.height - view / 2) * scale;
    for (let round = 0; round < 5; round++) {
      this.element.scrollTop = target;
      this.draw();
      const row = this.rows.get(index);
      if (!row) return;
      const middle = this.element.getBoundingClientRect().top + view / 2;
      const box = row.getBoundingClientRect();
      const error = (box.top + box.bottom) / 2 - middle;
      if (Math.abs(error) < this.height / 2) return;
      target = this.element.scrollTop + error * scale * (this.height / Math.max(this.height, box.height));
    }
  }
}
