"""Markdown of strangers, as HTML that is safe on a page of ours.

Here: one function. HTML in the text stays text; images are links, because a picture would tell
another site who looks. What the library makes is cleaned once more, so that a fault in it is no
hole. The page's own policy (CSP) is the third fence.
"""

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

# A text that means ill takes a fraction of a second at this size, and more than that is not read.
RENDERED_CHARS_MAX = 16_384

# Headings begin below those of the page.
HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
ELEMENTS = {
    *("p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong"),
    *("s", "hr", "br", "a", "table", "thead", "tbody", "tr", "th", "td"),
}


def rendered(text: str) -> Markup | None:
    """The text as HTML; None where it is too long for that, and should be shown as it is."""
    if len(text) > RENDERED_CHARS_MAX:
        return None
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20})
    parser.enable(["table", "strikethrough"]).disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        token.tag = HEADINGS.get(token.tag, token.tag)
    html = parser.renderer.render(tokens, parser.options, {})
    return Markup(  # noqa: S704 cleaned in the same line
        nh3.clean(
            html,
            tags=ELEMENTS,
            attributes={"a": {"href"}},
            url_schemes={"http", "https"},
            link_rel="noopener noreferrer nofollow",
        )
    )
