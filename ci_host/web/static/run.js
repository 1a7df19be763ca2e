/* Run: the keyboard on a run's page. Every key does what a link on the page does; the list of them
   is behind `?` (run_keys.html). In a field, in the log and with a modifier, keys are the browser's. */

const BROKEN = ["failed", "timed_out", "lost", "refused"];

function steps() {
  const rows = [...document.querySelectorAll("#part-tab [data-at]")];
  if (rows.length) return rows;
  // Of many that are alike, and folded, their heading is one step.
  return [...document.querySelectorAll("#part-steps [data-step]")].filter((one) => !above(one)?.closest(".many:not([open])"));
}

/* What a heading folds is not what it is in itself. */
function above(one) {
  return one.localName === "summary" ? one.parentElement.parentElement : one;
}

function unfold(one) {
  for (let at = above(one).closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
}

function brokenSteps() {
  const wanted = BROKEN.map((state) => `#part-steps .step.s-${state} [data-step]`).join(", ");
  return [...document.querySelectorAll(wanted)];
}

/* The next of these behind the one that has the focus, or before it; it goes round. */
function go(links, by) {
  if (!links.length) return;
  const here = links.indexOf(document.activeElement);
  const at = here < 0 ? (by > 0 ? 0 : links.length - 1) : (here + by + links.length) % links.length;
  unfold(links[at]);
  links[at].focus({ preventScroll: true });
  links[at].scrollIntoView({ block: "nearest" });
}

function press(link) {
  link?.click();
}

function zoomToRow() {
  press(document.activeElement?.closest?.("[data-row]")?.querySelector("[data-zoom]"));
}

const KEYS = {
  j: () => go(steps(), 1),
  k: () => go(steps(), -1),
  n: () => go(brokenSteps(), 1),
  N: () => go(brokenSteps(), -1),
  z: zoomToRow,
  l: () => document.getElementById("log-lines")?.focus(),
  "?": () => document.getElementById("keys")?.togglePopover(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable], #log")) return;
  const tab = document.querySelectorAll(".tab-bar a")[Number(event.key) - 1];
  const link = document.querySelector(`#part-tab [data-key="${CSS.escape(event.key)}"]`);
  const act = tab ? () => press(tab) : link ? () => press(link) : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

/* The chosen turn is in sight within its list; the page itself stays where it is. */
function showTurn() {
  const list = document.getElementById("turns");
  const chosen = list?.querySelector(".chosen");
  if (!chosen) return;
  const at = chosen.offsetTop - list.offsetTop;
  const isSeen = at >= list.scrollTop && at + chosen.offsetHeight <= list.scrollTop + list.clientHeight;
  if (!isSeen) list.scrollTop = at - list.clientHeight / 3;
}

/* The step whose log is shown is in sight in the list of steps, once: what a reader scrolls stays. */
let shownStep = null;

function showStep() {
  const chosen = document.querySelector("#part-steps .step.chosen") ?? brokenSteps()[0]?.closest(".step");
  if (!chosen || chosen.id === shownStep) return;
  shownStep = chosen.id;
  // Of one that nobody asked for, the heading of its like says enough.
  if (new URLSearchParams(location.search).has("job")) unfold(chosen);
  if (!chosen.checkVisibility()) return;
  const list = document.getElementById("part-steps");
  const at = chosen.getBoundingClientRect().top - list.getBoundingClientRect().top;
  if (at < 0 || at + chosen.offsetHeight > list.clientHeight) list.scrollTop += at - list.clientHeight / 3;
}

/* A step that the address names is seen, though it is folded. Browsers unfold what they go to; not all
   do, and none does what is there already. */
function showNamed() {
  const named = location.hash.startsWith("#step-") && document.getElementById(location.hash.slice(1));
  if (!named) return;
  unfold(named);
  named.scrollIntoView({ block: "nearest" });
}

addEventListener("hashchange", showNamed);
document.addEventListener("staunch:parts", showTurn);
document.addEventListener("staunch:parts", showStep);
showTurn();
showStep();
showNamed();
document.addEventListener("keydown", onKey);
