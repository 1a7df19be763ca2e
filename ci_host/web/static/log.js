/* Log: a job's log, live, in lines that can be linked to, selected and searched by the browser.

   Lines are kept as text and drawn in blocks, some thousand in one frame, so that a long log never
   blocks the page; blocks out of sight are not laid out (log.css). Of a very long log the end is
   shown, and all of it on request. It follows only while the reader is at its end. */

import { paint, plain } from "./ansi.js";

const SHOWN_MAX = 10_000;
const BLOCK_LINES = 500;
const FRAME_LINES = 2_500;
const AT_END_PX = 40;
const RETRY_MS = 2_000;
const ENDING = /^=== (.*): exit code (\d+) \((.*)\)$/;

class Log {
  constructor(box, foot, stream) {
    this.box = box;
    this.foot = foot;
    this.stream = stream;
    this.lines = [];
    this.rest = "";
    this.offset = 0;
    this.end = null;
    this.showAll = false;
    this.following = !lineRange();
    this.frame = 0;
    this.retry = 0;
    this.onScroll = () => this.scrolled();
    this.onVisible = () => (document.hidden ? this.disconnect() : this.connect());
    this.onHash = () => this.goToHash();
    box.addEventListener("scroll", this.onScroll, { passive: true });
    document.addEventListener("visibilitychange", this.onVisible);
    addEventListener("hashchange", this.onHash);
    this.clear(0);
    this.schedule();
    this.connect();
  }

  close() {
    this.disconnect();
    cancelAnimationFrame(this.frame);
    this.box.removeEventListener("scroll", this.onScroll);
    document.removeEventListener("visibilitychange", this.onVisible);
    removeEventListener("hashchange", this.onHash);
  }

  /* -- receiving */

  connect() {
    if (this.source || this.end || document.hidden) return;
    this.source = new EventSource(`${this.stream}?offset=${this.offset}`);
    this.source.onmessage = (event) => this.take(event.data, Number(event.lastEventId));
    this.source.addEventListener("end", (event) => this.finish(JSON.parse(event.data)));
    this.source.onerror = () => {
      if (this.source?.readyState !== EventSource.CLOSED) return;
      this.disconnect();
      this.retry = setTimeout(() => this.connect(), RETRY_MS);
    };
  }

  disconnect() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  take(text, offset) {
    if (offset <= this.offset) return;
    this.offset = offset;
    const parts = (this.rest + text).split("\n");
    this.rest = parts.pop();
    for (const part of parts) this.lines.push(part);
    this.schedule();
  }

  finish(end) {
    this.disconnect();
    this.end = end;
    if (this.rest) this.lines.push(this.rest);
    this.rest = "";
    this.schedule();
  }

  /* -- drawing */

  clear(first) {
    this.first = first;
    this.drawn = first;
    this.style = null;
    this.group = null;
    this.block = null;
    this.box.replaceChildren();
    if (first > 0) this.box.append(this.earlier(first));
  }

  earlier(count) {
    const row = document.createElement("div");
    row.className = "earlier";
    const button = document.createElement("button");
    button.textContent = "Show all";
    button.addEventListener("click", () => this.everything());
    row.append(`${count.toLocaleString()} earlier lines are not shown`, button);
    return row;
  }

  everything() {
    this.showAll = true;
    this.following = false;
    this.clear(0);
    this.schedule();
  }

  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const behind = this.lines.length - this.drawn;
    if (!this.showAll && (behind > SHOWN_MAX || this.drawn - this.first > 2 * SHOWN_MAX)) {
      this.clear(Math.max(0, this.lines.length - SHOWN_MAX));
    }
    const until = Math.min(this.lines.length, this.drawn + FRAME_LINES);
    while (this.drawn < until) this.drawLine(this.lines[this.drawn], ++this.drawn);
    if (this.following) this.box.scrollTop = this.box.scrollHeight;
    this.tell();
    if (this.drawn < this.lines.length) this.schedule();
    else if (!this.following) this.goToHash();
  }

  drawLine(text, number) {
    const ending = text.startsWith("=== ") ? ENDING.exec(text) : null;
    if (ending && this.group?.name === ending[1]) this.group.tell(ending[2], ending[3]);
    else if (text.startsWith("=== ")) return this.open(text.slice(4), number);
    const line = row("div", number);
    if (ending) line.classList.add("ends");
    const shown = document.createElement("span");
    shown.className = "text";
    this.style = paint(shown, text, this.style);
    line.append(shown);
    this.blockFor().append(line);
    if (this.block.childElementCount === BLOCK_LINES) this.block.classList.add("full");
  }

  open(name, number) {
    this.style = null;
    this.group = new Group(plain(name), number);
    this.block = null;
    this.box.append(this.group.element);
  }

  blockFor() {
    if (!this.block || this.block.childElementCount >= BLOCK_LINES) {
      this.block = document.createElement("div");
      this.block.className = "block";
      (this.group?.element ?? this.box).append(this.block);
    }
    return this.block;
  }

  /* -- the foot, and where the reader is */

  tell() {
    const count = `${this.lines.length.toLocaleString()} line${this.lines.length === 1 ? "" : "s"}`;
    const ended = this.end && this.drawn === this.lines.length;
    const code = this.end?.exit_code ?? null;
    const said = [count, ended ? this.end.state.replace("_", " ") : "live"];
    if (ended && code !== null) said.push(`exit code ${code}`);
    const text = document.createElement("span");
    text.textContent = said.join(" · ");
    this.foot.replaceChildren(text);
    if (this.following || this.box.scrollHeight <= this.box.clientHeight) return;
    const button = document.createElement("button");
    button.textContent = ended ? "To the end" : "Follow";
    button.addEventListener("click", () => {
      this.following = true;
      this.schedule();
    });
    this.foot.append(button);
  }

  scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.box;
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - AT_END_PX;
    if (isAtEnd === this.following) return;
    this.following = isAtEnd;
    this.tell();
  }

  goToHash() {
    const range = lineRange();
    for (const one of this.box.querySelectorAll(".line.chosen")) one.classList.remove("chosen");
    if (!range || range.from > this.lines.length) return;
    this.following = false;
    if (range.from <= this.first) return this.everything();
    if (range.from > this.drawn) return;
    for (let n = range.from; n <= Math.min(range.to, this.drawn); n++) {
      document.getElementById(`L${n}`)?.classList.add("chosen");
    }
    if (this.went === location.hash) return;
    this.went = location.hash;
    const target = document.getElementById(`L${range.from}`);
    target?.closest("details")?.setAttribute("open", "");
    this.box.scrollTop += target.getBoundingClientRect().top - this.box.getBoundingClientRect().top - 80;
  }
}

/* One step of the job: its header line, and what it wrote. */
class Group {
  constructor(name, number) {
    this.name = name;
    this.element = document.createElement("details");
    this.element.className = "group";
    this.element.open = true;
    this.heading = row("summary", number);
    const text = document.createElement("span");
    text.className = "text";
    text.textContent = name;
    this.heading.append(text);
    this.element.append(this.heading);
  }

  tell(code, took) {
    const result = document.createElement("span");
    result.className = code === "0" ? "result" : "result bad";
    result.textContent = code === "0" ? `✓ ${took}` : `✗ exit code ${code}, ${took}`;
    this.heading.append(result);
  }
}

function row(tag, number) {
  const line = document.createElement(tag);
  line.className = "line";
  line.id = `L${number}`;
  const link = document.createElement("a");
  link.className = "nr";
  link.href = `#L${number}`;
  link.dataset.n = number;
  link.tabIndex = -1;
  link.setAttribute("aria-label", `Line ${number}`);
  line.append(link);
  return line;
}

/* The lines that the address names: `#L12` or `#L12-L20`. */
function lineRange() {
  const found = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash);
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
  return { from: Math.min(from, to), to: Math.max(from, to) };
}

/* Shift and a click on a second number makes a range. */
function chooseRange(event) {
  const link = event.target.closest?.("a.nr");
  const range = lineRange();
  if (!link || !event.shiftKey || !range) return;
  event.preventDefault();
  location.hash = `#L${range.from}-L${link.dataset.n}`;
}

let log = null;
let shown = "";

/* Show the log of the job that the page names now. */
function show() {
  const head = document.getElementById("part-log");
  const box = document.getElementById("log-lines");
  if (!head?.dataset.job || head.dataset.job === shown) return;
  log?.close();
  shown = head.dataset.job;
  box.hidden = false;
  log = new Log(box, document.getElementById("log-foot"), head.dataset.stream);
}

document.addEventListener("click", chooseRange);
document.addEventListener("staunch:parts", show);
show();
