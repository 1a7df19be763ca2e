/* Live: keeps an open page true without reloading it.

   The server says that something changed (`data-live`), or the page looks by itself (`data-look`);
   then its parts (`data-part`) are asked for, and those that differ are put in place of the old
   ones. What a person typed, opened or scrolled stays. */

const settings = document.querySelector("script[data-live], script[data-look]")?.dataset;
/* Of these pages nobody tells that they have changed. */
const LOOK_MS = 5_000;
const GROW_MS = 5_000;
const RETRY_MS = 2_000;
const HELD_MS = 2_000;
/* What scrolls within a part. */
const SCROLLING = ["#chart", "#turns"];
const shownParts = new Map();

/* -- times: they tick here, so that a part need not be replaced for them. The clock is the host's. */

const hostNow = Number(document.querySelector("[data-now]")?.dataset.now ?? Date.now() / 1000);
const skewMs = Date.now() - hostNow * 1000;

function duration(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)}s`;
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  if (whole >= 86400) return `${Math.floor(whole / 86400)}d ${two(Math.floor((whole % 86400) / 3600))}h`;
  if (whole >= 3600) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
  return whole >= 60 ? `${Math.floor(whole / 60)}m ${two(whole % 60)}s` : `${whole}s`;
}

function age(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${unit} ago`;
  }
  return seconds >= 5 ? `${Math.floor(seconds)}s ago` : "just now";
}

function tick(root = document) {
  const now = Date.now() - skewMs;
  for (const one of root.querySelectorAll("[data-since]")) {
    one.textContent = duration(now / 1000 - Number(one.dataset.since));
  }
  for (const one of root.querySelectorAll("[data-ago]")) {
    one.textContent = age((now - Date.parse(one.dateTime)) / 1000);
  }
}

/* A time of another zone than the reader's would be misread: the zone is said. */
const toTheMinute = {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
};
const minutes = new Intl.DateTimeFormat(undefined, toTheMinute);
const seconds = new Intl.DateTimeFormat(undefined, { ...toTheMinute, second: "2-digit" });

function localise(root = document) {
  for (const one of root.querySelectorAll("time")) {
    const at = new Date(one.dateTime);
    const said = (at.getSeconds() ? seconds : minutes).format(at);
    one.title = said;
    if ("local" in one.dataset) one.textContent = said;
  }
}

/* -- parts */

function essence(part) {
  const copy = part.cloneNode(true);
  for (const one of copy.querySelectorAll("[data-since], time")) {
    one.textContent = "";
    one.removeAttribute("title");
  }
  return copy.innerHTML + copy.className;
}

function keep(old, part) {
  for (const field of old.querySelectorAll("input[id], select[id]")) {
    const there = part.querySelector(`#${CSS.escape(field.id)}`);
    if (there && there.type === field.type) {
      there.value = field.value;
      there.checked = field.checked;
    }
  }
  for (const details of old.querySelectorAll("details[id]")) {
    const there = part.querySelector(`#${CSS.escape(details.id)}`);
    if (there) there.open = details.open;
  }
}

/* By what a link or a button is known again: a button also by what its form is about. */
function nameOf(one) {
  const about = one.form ? new URLSearchParams(new FormData(one.form)) : one.getAttribute("href");
  return `${one.getAttribute("aria-label") ?? one.textContent} ${about}`;
}

function twin(focused, part) {
  if (focused.id) return part.querySelector(`#${CSS.escape(focused.id)}`);
  const name = nameOf(focused);
  return [...part.querySelectorAll(focused.tagName)].find((one) => nameOf(one) === name);
}

function place(old, part) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const top = old.scrollTop;
  const tops = SCROLLING.map((id) => [id, old.querySelector(id)?.scrollTop ?? 0]);
  const tables = (root) => root.querySelectorAll(".scroll[aria-label]");
  const lefts = [...tables(old)].map((one) => [one.ariaLabel, one.scrollLeft]);
  keep(old, part);
  old.replaceWith(part);
  part.scrollTop = top;
  for (const [id, was] of tops) if (was && part.querySelector(id)) part.querySelector(id).scrollTop = was;
  for (const one of tables(part)) one.scrollLeft = new Map(lefts).get(one.ariaLabel) ?? 0;
  if (focused) twin(focused, part)?.focus({ preventScroll: true });
}

function takeParts(text) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  for (const part of parsed.querySelectorAll("[data-part]")) {
    const said = essence(part);
    const old = document.getElementById(part.id);
    if (!old || shownParts.get(part.id) === said) continue;
    shownParts.set(part.id, said);
    place(old, document.adoptNode(part));
  }
  const head = document.getElementById("part-head");
  if (head?.dataset.title) document.title = head.dataset.title;
  tick();
  localise();
  document.dispatchEvent(new Event("staunch:parts"));
}

/* Nothing is replaced under a pointer that is pressed: the click would be of nothing. */
let letGo = Promise.resolve();

function hold(event) {
  if (event.button) return;
  const over = new AbortController();
  letGo = new Promise((done) => {
    const end = () => {
      over.abort();
      // The click itself comes after this.
      setTimeout(done);
    };
    const heard = { capture: true, signal: over.signal };
    for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, end, heard);
    // Where a menu opened, nobody is told that it was let go.
    setTimeout(end, HELD_MS);
  });
}

addEventListener("pointerdown", hold, { capture: true });

let asking = null;
let askAgain = false;

/* Ask for the parts and place them. One at a time; a wish that comes meanwhile is kept. */
export async function refresh() {
  if (asking) {
    askAgain = true;
    return asking;
  }
  asking = ask();
  await asking;
  asking = null;
  if (askAgain) {
    askAgain = false;
    await refresh();
  }
}

async function ask(part = "") {
  const wanted = location.search;
  const more = part ? `${wanted ? "&" : "?"}part=${part}` : "";
  try {
    const path = settings.fragment ?? location.pathname;
    const answer = await fetch(path + wanted + more, { cache: "no-store" });
    if (answer.redirected) return location.reload();
    const text = await answer.text();
    if (isLooking) offline(false);
    await letGo;
    // Whoever has gone on meanwhile does not want it any more.
    if (answer.ok && wanted === location.search) takeParts(text);
  } catch {
    offline(true);
  }
}

/* -- the connection */

let source = null;
const isLooking = settings !== undefined && "look" in settings;

function isOver() {
  return document.getElementById("part-head")?.dataset.over === "yes";
}

function listen() {
  if (source || document.hidden) return;
  source = new EventSource(settings.live);
  source.addEventListener("changed", async () => {
    offline(false);
    await refresh();
    if (isOver()) deafen();
  });
  source.onopen = () => offline(false);
  source.onerror = () => {
    offline(true);
    if (source?.readyState !== EventSource.CLOSED) return;
    deafen();
    setTimeout(listen, RETRY_MS);
  };
}

function deafen() {
  source?.close();
  source = null;
}

function offline(is) {
  let banner = document.getElementById("offline");
  if (is && !banner) {
    banner = document.createElement("p");
    banner.id = "offline";
    banner.className = "offline";
    banner.setAttribute("role", "status");
    banner.textContent = "Staunch does not answer. Runs are safe; this page goes on when it is back.";
    document.body.append(banner);
  } else if (!is) banner?.remove();
}

/* -- choosing a job or a tab: its own address, without a new page */

function choose(event) {
  const link = event.target.closest?.("a[data-job-link], a[data-swap]");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  // Two logs beside each other are as the server wrote them: another is another page.
  if ("jobLink" in link.dataset && document.querySelector(".beside")) return;
  event.preventDefault();
  // Of a link in a drawing, `href` is no text.
  history.pushState(null, "", link.getAttribute("href"));
  if (link.dataset.swap) ask(link.dataset.swap);
  else refresh().then(showLog);
}

/* The log that was chosen is seen; where it is in sight already, nothing moves. */
function showLog() {
  const log = document.getElementById("log");
  const at = log?.getBoundingClientRect();
  if (at && (at.top > innerHeight * 0.6 || at.bottom < innerHeight * 0.4)) log.scrollIntoView();
}

tick();
localise();
setInterval(tick, 1_000);

function look() {
  if (!document.hidden) refresh();
}

if (settings) {
  for (const part of document.querySelectorAll("[data-part]")) shownParts.set(part.id, essence(part));
}
if (isLooking) {
  setInterval(look, LOOK_MS);
  document.addEventListener("visibilitychange", look);
} else if (settings) {
  document.addEventListener("click", choose);
  addEventListener("popstate", () => refresh());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) deafen();
    else if (!isOver()) listen();
  });
  if (!isOver()) listen();
  // What goes on is drawn longer as time goes by.
  setInterval(() => {
    if (!document.hidden && source && document.querySelector(".bar.open")) refresh();
  }, GROW_MS);
}
