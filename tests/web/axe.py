"""Axe: what keeps people from using a page, as axe-core finds it in the page itself.

axe-core is not in this repository: `make published` fetches it.
"""

import json
from functools import cache

from tests.published.packages import AXE, missing_of
from tests.web.browser import Browser

WHY_NOT = missing_of(AXE)
# The rules that look at colours: all that differs between the two schemes.
COLOURS = ("color-contrast", "link-in-text-block")
FOUND = """
axe.run(document, %s).then(found => found.violations.map(one =>
  `${one.id}: ${one.help}: ` + one.nodes.slice(0, 5).map(node =>
    `${node.target.join(" ")} (${node.any.concat(node.all, node.none)
      .map(check => check.message).join("; ")})`).join(" | ")))
"""


@cache
def _source() -> str:
    return (AXE.folder / "axe.min.js").read_text()


def barriers(page: Browser, rules: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with the page as it is now; `rules`: by these alone, else by all."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(f"{_source()}; true")
    options = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    found: list[str] = page.evaluate(FOUND % json.dumps(options))
    return found
