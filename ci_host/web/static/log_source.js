/* Log source: the lines of one log by number, from the server and, while its job runs, live.

   Lines are asked for in blocks; only those that were looked at last are kept, so that a log of any
   length needs little memory. Numbers of lines count from 1. */

const BLOCK_LINES = 1_000;
const BLOCKS_MAX = 60;
const RETRY_MS = 2_000;
const LINE_CHARS_MAX = 20_000;
const HEADING = /^(?:=== |::group::|::endgroup::)/;

export class LogSource {
  /* `changed` is called whenever there is something new to show. */
  constructor(base, changed) {
    this.base = base;
    this.changed = changed;
    this.blocks = new Map();
    this.asked = new Set();
    this.total = 0;
    this.headings = [];
    this.outline = null;
    this.end = null;
    this.isOpen = false;
    this.offset = 0;
    this.closing = new AbortController();
    this.onVisible = () => (document.hidden ? this.disconnect() : this.connect());
    document.addEventListener("visibilitychange", this.onVisible);
  }

  close() {
    this.closing.abort();
    this.disconnect();
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  /* Ask how long the log is; then follow it, while it grows. */
  async begin() {
    const found = await this.ask("outline");
    if (!found) return;
    this.outline = found;
    this.total = found.lines;
    this.isOpen = found.is_open;
    this.offset = found.offset;
    this.headings = found.headings ?? [];
    if (found.is_over) this.end = { state: found.state, exit_code: found.exit_code };
    else this.connect();
    this.changed();
  }

  async ask(what) {
    for (;;) {
      try {
        const answer = await fetch(`${this.base}/${what}`, { signal: this.closing.signal, cache: "no-store" });
        if (answer.ok) return await answer.json();
        if (answer.status < 500) return null;
      } catch {
        if (this.closing.signal.aborted) return null;
      }
      await new Promise((done) => setTimeout(done, RETRY_MS));
      if (this.closing.signal.aborted) return null;
    }
  }

  /* -- lines */

  /* A line, or undefined: then it has been asked for. */
  line(number) {
    const block = Math.floor((number - 1) / BLOCK_LINES);
    const lines = this.blocks.get(block);
    const text = lines?.[(number - 1) % BLOCK_LINES];
    if (text === undefined) this.need(block);
    return text;
  }

  /* A line and those before it in its block, of which it may have its colour. */
  before(number) {
    const lines = this.blocks.get(Math.floor((number - 1) / BLOCK_LINES)) ?? [];
    return lines.slice(0, (number - 1) % BLOCK_LINES);
  }

  async need(block) {
    if (this.asked.has(block)) return;
    this.asked.add(block);
    const lines = [];
    const wanted = () => Math.min(BLOCK_LINES, this.total - block * BLOCK_LINES);
    // Of very long lines fewer are answered at once.
    while (lines.length < wanted()) {
      const first = block * BLOCK_LINES + lines.length + 1;
      const found = await this.ask(`lines?first=${first}&count=${BLOCK_LINES - lines.length}`);
      if (!found?.lines.length) break;
      lines.push(...found.lines);
    }
    this.asked.delete(block);
    if (!lines.length || this.closing.signal.aborted) return;
    this.keep(block, lines);
    this.changed();
  }

  keep(block, lines) {
    this.blocks.delete(block);
    this.blocks.set(block, lines);
    if (this.blocks.size > BLOCKS_MAX) this.blocks.delete(this.blocks.keys().next().value);
  }

  /* -- what the job writes meanwhile */

  connect() {
    if (this.source || this.end || !this.outline || document.hidden) return;
    this.source = new EventSource(`${this.base}/stream?offset=${this.offset}`);
    this.source.onmessage = (event) => this.take(event.data, Number(event.lastEventId));
    this.source.addEventListener("end", (event) => {
      this.disconnect();
      this.end = JSON.parse(event.data);
      this.changed();
    });
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
    const parts = text.split("\n");
    const last = parts.pop();
    for (const part of parts) {
      this.add(part);
      this.isOpen = false;
    }
    if (last) {
      this.add(last);
      this.isOpen = true;
    }
    this.changed();
  }

  add(text) {
    const at = this.isOpen ? this.total - 1 : this.total;
    const [block, index] = [Math.floor(at / BLOCK_LINES), at % BLOCK_LINES];
    if (!this.blocks.has(block) && index === 0 && !this.isOpen) this.keep(block, []);
    const lines = this.blocks.get(block);
    if (this.isOpen) {
      if (lines?.[index] !== undefined) lines[index] = (lines[index] + text).slice(0, LINE_CHARS_MAX);
      return;
    }
    this.total += 1;
    if (lines?.length === index) lines.push(text.slice(0, LINE_CHARS_MAX));
    if (HEADING.test(text)) this.headings = [...this.headings, { line: this.total, text }];
  }
}
