"""Pictures: what pages look like, for the guide. `python -m tests.web.pictures` takes them anew."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.web.browser import browser
from tests.web.every_page import furnished
from tests.web.served import served
from tests.web.world import SECRETS, World

FOLDER = Path(__file__).parents[2] / "docs" / "images"


@dataclass(frozen=True, slots=True)
class Picture:
    """What `who` sees at an address, which may name what `furnished` answers."""

    name: str
    address: str
    width: int = 1280
    height: int = 860
    dark: bool = False
    who: str = "grace"


PICTURES = (
    Picture("run", "/runs/{broken}", height=1010),
    Picture("graph", "/runs/{gate}?tab=graph", height=760, dark=True),
    Picture("history", "/runs/{broken}?tab=history&turn=10", height=1120),
    Picture("runs", "/", height=620),
    Picture("repo", "/repos/me/shop", height=640, who="ada"),
    Picture("inbox-phone", "/inbox", width=390, height=700),
)


def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        world = World(Path(scratch))
        with served(world) as host, browser(Path(scratch) / "profile") as page:
            names = furnished(host)
            for one in PICTURES:
                page.set_cookie(host.url, "staunch_token", SECRETS[one.who])
                page.look(width=one.width, height=one.height, dark=one.dark)
                page.open(host.url + one.address.format(**names))
                page.screenshot(FOLDER / f"{one.name}.png", whole=False)
        world.model.close()


if __name__ == "__main__":
    main()
