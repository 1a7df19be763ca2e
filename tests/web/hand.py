"""Hand: what a person does on a page with mouse and keyboard, and how many clicks it took.

A click lands where the pointer is: on something that is covered, or is not there, it fails.
"""

import json

from tests.web.browser import Broken, Browser

# What can be clicked, by the name that it has for whoever looks or listens.
FIND = """
(() => {
  // Before its styles are there, a page has everything in other places.
  if (document.readyState !== "complete") return null;
  const wanted = %s, within = document.querySelector(%s) ?? document;
  const named = (one) => (one.dataset.n || one.ariaLabel || one.labels?.[0]?.innerText
    || one.innerText || one.querySelector?.("title")?.textContent || one.value || "")
    .trim().replace(/\\s+/g, " ");
  const all = [...within.querySelectorAll("a[href], button, input, select, summary")]
    .filter(one => one.checkVisibility());
  const one = all.find(one => named(one) === wanted)
    ?? all.find(one => named(one).startsWith(wanted));
  if (!one) return null;
  one.scrollIntoView({ block: "center", behavior: "instant" });
  const r = one.getBoundingClientRect();
  const x = r.x + Math.min(r.width / 2, 60), y = r.y + r.height / 2;
  const there = document.elementFromPoint(x, y);
  const isFree = there && (one.contains(there) || there.contains(one));
  return isFree ? [x, y] : ["covered by", there?.outerHTML];
})()
"""
SEEN = """
((text) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.textContent.includes(text) || !node.parentElement.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const r = range.getBoundingClientRect();
    const x = r.x + Math.min(r.width / 2, 40), y = r.y + r.height / 2;
    if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) continue;
    const there = document.elementFromPoint(x, y);
    // A link may lie over the whole of its row; what lies over others is no part of theirs.
    if (there?.closest("li, tr, section, article, header, main")?.contains(node)) return true;
  }
  return false;
})
"""


class Hand:
    """`clicks` are counted; keys are not: whoever types has no hand at the mouse."""

    def __init__(self, page: Browser) -> None:
        self._page = page
        self.clicks = 0

    def click(self, name: str, within: str = "body") -> "Hand":
        """On what has this name, or begins with it."""
        found = self._page.until(FIND % (json.dumps(name), json.dumps(within)))
        if found[0] == "covered by":
            raise Broken(f"{name} is covered by {found[1]}")
        for kind in ("mousePressed", "mouseReleased"):
            self._page.call(
                "Input.dispatchMouseEvent",
                type=kind, x=found[0], y=found[1], button="left", clickCount=1,
            )  # fmt: skip
        self.clicks += 1
        return self

    def type(self, text: str) -> "Hand":
        """Where the cursor is."""
        self._page.call("Input.insertText", text=text)
        return self

    def sees(self, text: str) -> bool:
        """Wait until it is on the screen, in sight and not covered."""
        return bool(self._page.until(f"{SEEN}({json.dumps(text)})"))

    def at(self, path: str) -> None:
        """Wait until the address has this in it."""
        self._page.until(f"location.href.includes({json.dumps(path)})")

    def downloads(self, name: str) -> None:
        """Wait until the browser takes a file of this name."""
        while name not in self._page.downloads:
            self._page.wait_a_moment()
