/* Log groups: the parts of a log by its headings, which of them are folded, and so which line is in
   which row. Pure: no page is needed for it. Lines count from 1, rows from 0. */

import { plain } from "./ansi.js";

const STEP = /^=== (.*)$/;
const ENDING = /^=== (.*): exit code (-?\d+) \((.*)\)$/;
const GROUP = /^::group::(.*)$/;

/* The groups in order: `line` is the heading's, `end` the last one's; `end` null: it goes on. */
export function groupsOf(headings) {
  const groups = [];
  let step = null;
  let inner = null;
  const closeInner = (line) => {
    if (inner) inner.end = line;
    inner = null;
  };
  for (const { line, text } of headings) {
    const ending = ENDING.exec(text);
    if (ending && step && step.raw === ending[1]) {
      closeInner(line - 1);
      Object.assign(step, { end: line, code: ending[2], took: ending[3] });
      step = null;
    } else if (STEP.test(text)) {
      closeInner(line - 1);
      if (step) step.end = line - 1;
      const raw = STEP.exec(text)[1];
      step = { line, end: null, raw, name: plain(raw), code: null, took: "" };
      groups.push(step);
    } else if (GROUP.test(text)) {
      closeInner(line - 1);
      const raw = GROUP.exec(text)[1];
      inner = { line, end: null, raw, name: plain(raw), code: null, took: "", isInner: true };
      groups.push(inner);
    } else closeInner(line);
  }
  return groups;
}

/* Which lines are hidden: `[first, last]` of each folded group, without overlaps, in order. */
export function hiddenRanges(groups, folded, total) {
  const ranges = [];
  for (const group of groups) {
    const last = group.end ?? total;
    if (!folded.has(group.line) || last <= group.line) continue;
    if (ranges.length && group.line <= ranges.at(-1)[1]) continue;
    ranges.push([group.line + 1, last]);
  }
  return ranges;
}

export function rowCount(total, hidden) {
  return total - hidden.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/* The row of a line; of a hidden one, that of its heading. */
export function rowOf(line, hidden) {
  let row = line - 1;
  for (const [first, last] of hidden) {
    if (line < first) break;
    row -= Math.min(line, last) - first + 1;
  }
  return row;
}

export function lineOf(row, hidden) {
  let line = row + 1;
  for (const [first, last] of hidden) {
    if (line < first) break;
    line += last - first + 1;
  }
  return line;
}
