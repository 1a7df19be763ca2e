/* Ansi: text with SGR escapes as elements. Text only ever becomes text: no HTML is made of a log.

   A style is an immutable record, or null for plain; it is carried from one line to the next. */

const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;
const FLAGS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"],
              39: ["fg"], 49: ["bg"] };

/* Append one line to `target` (null: only go through it); answers the style that the next line
   begins with. */
export function paint(target, text, style) {
  if (!text.includes("\x1b")) {
    append(target, text, style);
    return style;
  }
  let from = 0;
  for (const found of text.matchAll(ESCAPE)) {
    append(target, text.slice(from, found.index), style);
    from = found.index + found[0].length;
    if (found[2] === "m") style = apply(style, found[1]);
  }
  append(target, text.slice(from), style);
  return style;
}

/* The text without its escapes. */
export function plain(text) {
  return text.replace(ESCAPE, "").replace(CONTROL, "");
}

/* The style after one `ESC [ … m`. */
export function apply(style, parameters) {
  const codes = parameters.split(/[;:]/).map((part) => (part === "" ? 0 : Number(part)));
  const next = { ...style };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) for (const name of Object.keys(next)) delete next[name];
    else if (FLAGS[code]) next[FLAGS[code]] = true;
    else if (OFF[code]) for (const name of OFF[code]) delete next[name];
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 100 && code <= 107) next.bg = code - 92;
    else if (code === 38 || code === 48) i = extended(next, code === 38 ? "fg" : "bg", codes, i);
  }
  return Object.keys(next).length ? next : null;
}

function extended(style, name, codes, i) {
  if (codes[i + 1] === 5) {
    style[name] = indexed(codes[i + 2]);
    return i + 2;
  }
  if (codes[i + 1] === 2) {
    style[name] = rgb(codes.slice(i + 2, i + 5));
    return i + 4;
  }
  return i + 1;
}

/* A colour of the 256: one of our sixteen, or what xterm shows. */
function indexed(number) {
  if (!(number >= 0 && number <= 255)) return 7;
  if (number < 16) return number;
  if (number >= 232) return rgb(Array(3).fill(8 + (number - 232) * 10));
  const levels = [0, 95, 135, 175, 215, 255];
  const n = number - 16;
  return rgb([levels[Math.floor(n / 36)], levels[Math.floor(n / 6) % 6], levels[n % 6]]);
}

function rgb(parts) {
  const [r, g, b] = [0, 1, 2].map((i) => Math.min(255, Math.max(0, Number(parts[i]) || 0)));
  return `rgb(${r} ${g} ${b})`;
}

function append(target, text, style) {
  if (target === null) return;
  const shown = text.replace(CONTROL, "");
  if (!shown) return;
  if (style === null) {
    target.append(shown);
    return;
  }
  const span = document.createElement("span");
  span.textContent = shown;
  const [fg, bg] = style.inverse ? [style.bg ?? 0, style.fg ?? 7] : [style.fg, style.bg];
  colour(span, "f", "color", fg);
  colour(span, "b", "backgroundColor", bg);
  for (const flag of ["bold", "dim", "italic", "underline", "strike"]) {
    if (style[flag]) span.classList.add(`a-${flag}`);
  }
  target.append(span);
}

function colour(span, prefix, property, value) {
  if (typeof value === "number") span.classList.add(prefix + value);
  else if (typeof value === "string") span.style[property] = value;
}
