/* Log view: the rows that are in sight, and no others, in a box that scrolls as if all were there.

   Browsers allow no element of any height: of a very long log the scrollbar moves in larger steps,
   while wheel and keys go by lines as always. */

import { paint } from "./ansi.js";
import { groupsOf, hiddenRanges, lineOf, rowCount, rowOf } from "./log_groups.js";

const ROW_PX = 20;
const HEIGHT_MAX_PX = 8_000_000;
const AROUND_ROWS = 12;
const AT_END_PX = 8;
/* What paper has of a log: the lines in sight and those around them that are here already. */
const PRINTED_ROWS = 400;
/* What a reader does to move: from then on nothing else does, but following. */
const READING = ["wheel", "keydown", "pointerdown", "touchstart"];
const KEYS = { ArrowDown: [2, 0], ArrowUp: [-2, 0], PageDown: [-1, 1], PageUp: [1, -1], " ": [-1, 1] };

export class LogView {
  /* `hear.moved()` after each move, `hear.drawn(rows)` after each drawing. */
  constructor(box, source, hear) {
    Object.assign(this, { box, source, hear, top: 0, following: true, frame: 0, isRead: false });
    this.rows = new Map();
    this.folded = new Set();
    this.groups = [];
    this.hidden = [];
    this.chosen = null;
    this.layer = made("div", "layer");
    this.sizer = made("div", "sizer");
    this.now = made("div", "log-now");
    this.now.setAttribute("aria-hidden", "true");
    this.sizer.append(this.layer);
    box.replaceChildren(this.now, this.sizer);
    this.listeners = [
      [box, "scroll", () => this.scrolled(), { passive: true }],
      [box, "wheel", (event) => this.wheeled(event), { passive: false }],
      [box, "keydown", (event) => this.pressed(event)],
      [box, "click", (event) => this.clicked(event)],
      ...READING.map((kind) => [box, kind, () => { this.isRead = true; }, { passive: true }]),
      [window, "resize", () => this.schedule()],
      [window, "beforeprint", () => this.layOut()],
      [window, "afterprint", () => this.schedule()],
    ];
    for (const [target, ...rest] of this.listeners) target.addEventListener(...rest);
  }

  close() {
    cancelAnimationFrame(this.frame);
    for (const [target, ...rest] of this.listeners) target.removeEventListener(...rest);
  }

  /* -- measures */

  get count() {
    return rowCount(this.source.total, this.hidden);
  }

  get whole() {
    return this.count * ROW_PX;
  }

  get room() {
    return this.box.clientHeight;
  }

  /* How far the log moves when the scrollbar moves by one. */
  get ratio() {
    const height = Math.min(this.whole, HEIGHT_MAX_PX);
    return height < this.whole ? (this.whole - this.room) / (height - this.room) : 1;
  }

  /* The number of the first line that is wholly in sight. */
  get firstLine() {
    return lineOf(Math.ceil(this.top / ROW_PX), this.hidden);
  }

  /* -- moving */

  moveTo(top) {
    const ratio = this.ratio;
    this.top = Math.max(0, Math.min(top, this.whole - this.room));
    this.box.scrollTop = this.top / ratio;
    this.put = this.box.scrollTop;
    this.schedule();
  }

  /* Have a line in sight, a third from above. */
  show(line) {
    for (const group of this.groups) {
      if (group.line < line && line <= (group.end ?? Infinity)) this.folded.delete(group.line);
    }
    this.regroup();
    this.fit();
    this.following = false;
    this.moveTo(rowOf(line, this.hidden) * ROW_PX - this.room / 3);
  }

  follow() {
    this.following = true;
    this.schedule();
  }

  scrolled() {
    if (Math.abs(this.box.scrollTop - (this.put ?? -9)) > 1) this.top = this.box.scrollTop * this.ratio;
    this.put = this.box.scrollTop;
    const isAtEnd = this.top + this.room >= this.whole - AT_END_PX;
    if (isAtEnd !== this.following) {
      this.following = isAtEnd;
      this.hear.moved();
    }
    this.schedule();
  }

  wheeled(event) {
    if (this.ratio === 1 || event.ctrlKey || event.shiftKey || !event.deltaY) return;
    event.preventDefault();
    this.byHand(event.deltaY * (event.deltaMode ? ROW_PX : 1));
  }

  pressed(event) {
    const step = KEYS[event.key];
    if (!step || this.ratio === 1 || event.target !== this.box || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.byHand(step[0] * ROW_PX + step[1] * this.room);
  }

  byHand(pixels) {
    this.moveTo(this.top + pixels);
    this.following = this.top + this.room >= this.whole - AT_END_PX;
    this.hear.moved();
  }

  clicked(event) {
    const button = event.target.closest?.("button.fold");
    if (!button) return;
    const line = Number(button.dataset.line);
    if (!this.folded.delete(line)) this.folded.add(line);
    this.following = false;
    this.regroup();
    this.schedule();
  }

  /* -- drawing */

  regroup() {
    if (this.seen !== this.source.headings) {
      this.seen = this.source.headings;
      this.groups = groupsOf(this.seen);
      this.byLine = new Map(this.groups.map((group) => [group.line, group]));
      this.endings = new Map(this.groups.filter((one) => one.code !== null).map((one) => [one.end, one]));
    }
    this.hidden = hiddenRanges(this.groups, this.folded, this.source.total);
  }

  fit() {
    this.sizer.style.height = `${Math.min(this.whole, HEIGHT_MAX_PX)}px`;
  }

  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    if (matchMedia("print").matches) return this.layOut();
    this.regroup();
    this.fit();
    if (this.following && this.top + this.room < this.whole) {
      this.top = this.whole - this.room;
      this.box.scrollTop = this.box.scrollHeight;
      this.put = this.box.scrollTop;
    }
    const first = Math.max(0, Math.floor(this.top / ROW_PX) - AROUND_ROWS);
    const last = Math.min(this.count, Math.ceil((this.top + this.room) / ROW_PX) + AROUND_ROWS);
    const wanted = [];
    for (let row = first; row < last; row++) wanted.push(lineOf(row, this.hidden));
    this.place(wanted);
    this.layer.style.transform = `translateY(${this.box.scrollTop - this.top + first * ROW_PX}px)`;
    this.tellGroup();
    this.hear.drawn(this.rows);
  }

  /* For paper, on which nothing scrolls: what is here of it; what is not is asked for. */
  layOut() {
    this.regroup();
    const middle = Math.floor((this.top + this.room / 2) / ROW_PX);
    const first = Math.max(0, Math.min(middle - PRINTED_ROWS / 2, this.count - PRINTED_ROWS));
    const wanted = [];
    for (let row = first; row < Math.min(this.count, first + PRINTED_ROWS); row++) {
      const line = lineOf(row, this.hidden);
      if (this.source.line(line) !== undefined) wanted.push(line);
    }
    this.place(wanted);
  }

  /* The rows of these lines, in order; those that stay are not touched, so what is marked stays. */
  place(wanted) {
    const stay = new Set(wanted);
    for (const [line, row] of this.rows) {
      if (stay.has(line)) continue;
      row.remove();
      this.rows.delete(line);
    }
    let next = this.layer.firstChild;
    for (const line of wanted) {
      let row = this.rows.get(line);
      if (!row) {
        row = newRow(line);
        this.rows.set(line, row);
        this.layer.insertBefore(row, next);
      } else next = row.nextSibling;
      this.fill(row, line);
    }
  }

  fill(row, line) {
    const text = this.source.line(line);
    const group = this.byLine.get(line);
    const isFolded = this.folded.has(line);
    const isChosen = this.chosen !== null && line >= this.chosen.from && line <= this.chosen.to;
    row.classList.toggle("chosen", isChosen);
    row.classList.toggle("failing", line === this.source.outline?.failing);
    const said = `${text}|${group?.code}|${isFolded}`;
    if (row.said === said) return;
    row.said = said;
    row.classList.toggle("missing", text === undefined);
    row.classList.toggle("heading", Boolean(group));
    row.classList.toggle("ends", this.endings.has(line) || text === "::endgroup::");
    row.lastChild.remove();
    row.append(group ? heading(group, isFolded) : this.text(text ?? "", line));
  }

  text(text, line) {
    const shown = made("span", "text");
    let style = null;
    for (const before of this.source.before(line)) {
      if (before.includes("\x1b")) style = paint(null, before, style);
    }
    paint(shown, text, style);
    return shown;
  }

  /* The heading of the part whose beginning is out of sight above. */
  tellGroup() {
    const line = lineOf(Math.floor(this.top / ROW_PX), this.hidden);
    const within = this.groups.filter((one) => one.line < line && line < (one.end ?? Infinity));
    this.now.textContent = within.map((one) => one.name).join(" › ");
    this.now.hidden = !within.length;
  }
}

function heading(group, isFolded) {
  const shown = made("span", "text");
  const button = made("button", "fold");
  button.type = "button";
  button.dataset.line = group.line;
  button.setAttribute("aria-expanded", String(!isFolded));
  button.textContent = group.name || "(without a name)";
  shown.append(button);
  if (group.code !== null) {
    const result = made("span", group.code === "0" ? "result" : "result bad");
    result.textContent = group.code === "0" ? `✓ ${group.took}` : `✗ exit code ${group.code}, ${group.took}`;
    shown.append(result);
  }
  return shown;
}

function newRow(line) {
  const row = made("div", "line");
  row.id = `L${line}`;
  const link = made("a", "nr");
  link.href = `#L${line}`;
  link.dataset.n = line;
  link.tabIndex = -1;
  link.setAttribute("aria-label", `Line ${line}`);
  row.append(link, made("span", "text"));
  return row;
}

function made(tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  return element;
}
