"""Marks: the macros of `marks.html`, for every template. Icons are drawn once for each name.

What they look like is there. A page of 500 steps has 2,500 icons of a dozen names, and to draw them
all would take a quarter of its time.
"""

from functools import lru_cache
from typing import Any

import jinja2

# There are fewer names of states and kinds; a Run that was imported may have others.
NAMES_MAX = 200


class Marks:
    """What templates call `marks`. An icon is made of nothing but its name."""

    def __init__(self, environment: jinja2.Environment) -> None:
        drawn: Any = environment.get_template("marks.html").module
        self.icon = lru_cache(NAMES_MAX)(drawn.icon)
        self.state = lru_cache(NAMES_MAX)(drawn.state)
        self.kind = lru_cache(NAMES_MAX)(drawn.kind)
        self.ago, self.took = drawn.ago, drawn.took
        self.place, self.annotation = drawn.place, drawn.annotation
