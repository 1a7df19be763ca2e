/* Log: the log of the job that the page names: where it opens, what its address means, its search.

   The rows are log_view.js's, the lines log_source.js's. It opens at the lines of the address, else
   where the job failed, else at its end, and follows only while the reader is at the end. */

import { refresh } from "./live.js";
import { LogSource } from "./log_source.js";
import { LogView } from "./log_view.js";

const TYPED_MS = 200;
const MATCHES_MAX = 100_000;

const box = document.getElementById("log-lines");
const foot = document.getElementById("log-foot");
const tools = document.getElementById("log-tools");
const field = document.getElementById("log-search");
const told = document.getElementById("log-found");

let log = null;

class Log {
  constructor(head) {
    this.head = head.dataset;
    this.source = new LogSource(`/api/v1/jobs/${encodeURIComponent(head.dataset.job)}/log`, () => this.changed());
    this.view = new LogView(box, this.source, {
      moved: () => this.tell(),
      drawn: (rows) => this.mark(rows),
    });
    this.search = null;
    this.source.begin();
  }

  close() {
    this.search?.stop.abort();
    this.view.close();
    this.source.close();
  }

  changed() {
    // Of nothing there is no box.
    box.hidden = tools.hidden = !this.source.total;
    if (!this.hasOpened && this.source.outline) {
      this.hasOpened = true;
      this.open();
    }
    this.view.schedule();
    this.tell();
  }

  open() {
    const { failing } = this.source.outline;
    if (this.goToAddress() || this.view.isRead) return;
    if (failing) this.view.show(failing);
  }

  /* Show the lines that the address names; false: it names none. */
  goToAddress() {
    const range = lineRange();
    this.view.chosen = range;
    if (range && range.from <= this.source.total) this.view.show(range.from);
    this.view.schedule();
    return Boolean(range);
  }

  /* The address of lines of this very log, whatever the page would show by itself. */
  address(from, to) {
    const query = new URLSearchParams({ job: this.head.key, attempt: this.head.attempt });
    if (this.head.service) query.set("service", this.head.service);
    const key = encodeURI(this.head.key).replaceAll("#", "%23");
    return `${location.pathname}?${query}#${key}/L${from}${to > from ? `-L${to}` : ""}`;
  }

  tell() {
    const { total, end, outline } = this.source;
    const said = [total ? `${total.toLocaleString()} line${total === 1 ? "" : "s"}` : end ? "It printed nothing" : "It has printed nothing yet"];
    said.push(end ? end.state.replace("_", " ") : "live");
    if (end && end.exit_code !== null) said.push(`exit code ${end.exit_code}`);
    const text = document.createElement("span");
    text.textContent = said.join(" · ");
    foot.replaceChildren(text);
    const buttons = document.createElement("span");
    buttons.className = "ways";
    if (outline?.failing) buttons.append(way("To the failure", () => this.view.show(outline.failing)));
    if (!this.view.following && this.view.whole > this.view.room) {
      buttons.append(way(end ? "To the end" : "Follow", () => this.view.follow()));
    }
    if (buttons.childElementCount) foot.append(buttons);
  }

  /* -- search: the server looks, and says in which lines */

  async find(text) {
    this.search?.stop.abort();
    this.search = null;
    this.view.schedule();
    told.textContent = "";
    if (!text) return;
    const search = { text, lines: [], at: -1, isWhole: false, from: this.view.firstLine, stop: new AbortController() };
    this.search = search;
    let next = 1;
    while (next !== null && search.lines.length < MATCHES_MAX) {
      const found = await asked(`${this.source.base}/search?q=${encodeURIComponent(text)}&first=${next}`, search.stop.signal);
      if (this.search !== search) return;
      if (!found) break;
      search.lines.push(...found.lines);
      next = found.next;
      search.isWhole = next === null;
      if (search.at < 0) this.goToNearest();
      this.tellFound();
      this.view.schedule();
    }
  }

  /* The first match from where the reader was; else, once all are known, the first of all. */
  goToNearest() {
    const { lines, from, isWhole } = this.search;
    const at = lines.findIndex((line) => line >= from);
    if (at >= 0 || (isWhole && lines.length)) this.goToMatch(Math.max(0, at));
  }

  goToMatch(at) {
    const { lines } = this.search;
    this.search.at = (at + lines.length) % lines.length;
    const line = lines[this.search.at];
    this.view.chosen = { from: line, to: line };
    this.view.show(line);
    this.tellFound();
  }

  step(by) {
    if (this.search?.lines.length) this.goToMatch(this.search.at + by);
  }

  tellFound() {
    const { lines, at, isWhole } = this.search;
    const count = lines.length.toLocaleString() + (isWhole ? "" : "…");
    told.textContent = at >= 0 ? `${(at + 1).toLocaleString()} of ${count}` : isWhole ? "not found" : "looking…";
  }

  /* Mark what was looked for in the rows in sight, where the browser can without changing them. */
  mark(rows) {
    if (!window.Highlight) return;
    const marks = new Highlight();
    const wanted = this.search?.text.toLowerCase();
    if (wanted) for (const row of rows.values()) for (const range of occurrences(row.lastChild, wanted)) marks.add(range);
    CSS.highlights.set("log-found", marks);
  }
}

async function asked(url, signal) {
  try {
    const answer = await fetch(url, { signal, cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function* occurrences(element, wanted) {
  const text = element.textContent.toLowerCase();
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    const range = new Range();
    if (!reach(element, at, (node, offset) => range.setStart(node, offset))) return;
    if (!reach(element, at + wanted.length, (node, offset) => range.setEnd(node, offset))) return;
    yield range;
  }
}

/* Put an end of a range so many characters into an element. */
function reach(element, characters, put) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let left = characters; walker.nextNode(); left -= walker.currentNode.length) {
    if (left <= walker.currentNode.length) {
      put(walker.currentNode, left);
      return true;
    }
  }
  return false;
}

function way(text, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", act);
  return button;
}

/* The lines that the address names: `#L12`, `#L12-L20`, or with the job's key: `#unit/L12`. */
function lineRange() {
  const found = /^#(?:.+\/)?L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(location.hash);
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
  return { from: Math.max(1, Math.min(from, to)), to: Math.max(from, to) };
}

/* The job that the address names behind its `#`. */
function namedJob() {
  const found = /^#(.+)\/L\d{1,15}(?:-L?\d{1,15})?$/.exec(location.hash);
  try {
    return found ? decodeURIComponent(found[1]) : "";
  } catch {
    return "";
  }
}

/* A click on a number makes it the page's address; with Shift, all lines from the chosen one on. */
function chooseLines(event) {
  const link = event.target.closest?.("a.nr");
  if (!link || !log || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const line = Number(link.dataset.n);
  const first = event.shiftKey ? (lineRange()?.from ?? line) : line;
  const [from, to] = [Math.min(first, line), Math.max(first, line)];
  history.pushState(null, "", log.address(from, to));
  log.view.chosen = { from, to };
  log.view.schedule();
}

let looked = "";

/* Have the page show the job that the address names, if it shows another one. */
function chooseNamedJob(head) {
  const named = namedJob();
  if (!named || named === head.dataset.key || looked === location.hash) return false;
  looked = location.hash;
  history.replaceState(null, "", `${location.pathname}?${new URLSearchParams({ job: named })}${location.hash}`);
  refresh();
  return true;
}

/* Show the log of the job that the page names now. */
function show() {
  const head = document.getElementById("part-log");
  if (!head?.dataset.job || chooseNamedJob(head) || head.dataset.job === log?.head.job) return;
  log?.close();
  log = new Log(head);
  if (field.value) log.find(field.value);
}

let typing = 0;
field.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => log?.find(field.value), TYPED_MS);
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  if (log?.search?.text === field.value) log.step(event.shiftKey ? -1 : 1);
});
tools.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-step]");
  if (button) log?.step(Number(button.dataset.step));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || tools.hidden) return;
  if (event.target.closest?.("input, textarea, select")) return;
  event.preventDefault();
  field.focus();
  field.select();
});
document.addEventListener("click", chooseLines);
addEventListener("hashchange", () => {
  const head = document.getElementById("part-log");
  if (head && !chooseNamedJob(head)) log?.goToAddress();
});
document.addEventListener("staunch:parts", show);
show();
