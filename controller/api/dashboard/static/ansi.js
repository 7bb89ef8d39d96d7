// Renders ANSI colours (ECMA-48 SGR) as CSS classes. Other control sequences are dropped; other control characters are escaped.
const sequence = /\x1b\[([0-9;:]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]/g;

// Same notation as in logs and terminal output: `\x08`, `\u202e`.
function escaped(char) {
  const code = char.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

function visible(text) {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, escaped);
}

// Index of the nearest of the eight basic colours: a channel counts if it is more than half as bright as the brightest one.
function nearest(parts) {
  const brightest = Math.max(...parts, 1);
  if (brightest < 48) return 0;
  return parts.reduce((sum, part, index) => sum + (part > brightest / 2 ? 1 << index : 0), 0);
}

// The 256-colour palette: 16 basic colours, a 6 × 6 × 6 cube, and 24 greys.
function fromPalette(number) {
  if (number < 16) return number % 8;
  if (number > 231) return number < 240 ? 0 : 7;
  const cube = number - 16;
  return nearest([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((level) => level * 51));
}

export class Style {
  constructor() { this.reset(); }
  reset() { this.flags = new Set(); this.front = null; this.back = null; }
  get classes() {
    return [...this.flags, this.front !== null && `f${this.front}`, this.back !== null && `g${this.back}`].filter(Boolean).join(" ");
  }
  apply(codes) {
    const numbers = codes.split(/[;:]/).map((number) => Number(number || 0));
    for (let i = 0; i < numbers.length; i++) {
      const code = numbers[i];
      if (code === 0) this.reset();
      else if (code === 1) this.flags.add("b");
      else if (code === 2) this.flags.add("dim");
      else if (code === 3) this.flags.add("i");
      else if (code === 4) this.flags.add("u");
      else if (code === 22) { this.flags.delete("b"); this.flags.delete("dim"); }
      else if (code === 23) this.flags.delete("i");
      else if (code === 24) this.flags.delete("u");
      else if (code === 7) [this.front, this.back] = [this.back ?? 0, this.front ?? 7];
      else if (code === 38 || code === 48) {
        const isPalette = numbers[i + 1] === 5;
        const parts = numbers.slice(i + 2, i + (isPalette ? 3 : 5));
        i += isPalette ? 2 : 4;
        if (i >= numbers.length) break;
        const colour = isPalette ? fromPalette(parts[0]) : nearest(parts);
        if (code === 38) this.front = colour; else this.back = colour;
      }
      else if (code === 39) this.front = null;
      else if (code === 49) this.back = null;
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) this.front = code % 10;
      else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) this.back = code % 10;
    }
  }
}

// Append text to an element, as text nodes only: it is never interpreted as markup.
export function append(element, text, style) {
  let from = 0;
  const appendPart = (part) => {
    if (!part) return;
    const classes = style.classes;
    if (!classes) { element.append(visible(part)); return; }
    const piece = document.createElement("span");
    piece.className = classes;
    piece.textContent = visible(part);
    element.append(piece);
  };
  for (const match of text.matchAll(sequence)) {
    appendPart(text.slice(from, match.index));
    if (match[2] === "m") style.apply(match[1]);
    from = match.index + match[0].length;
  }
  appendPart(text.slice(from));
}

// Text without escape sequences.
export function plain(text) {
  return text.replace(sequence, "");
}
