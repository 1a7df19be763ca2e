"""The image process: builds and compiles the guest image once, telling how far it is, and ends.

A process of its own: the compiler takes half a gigabyte, which nobody who stays should keep.
"""

import sys
from pathlib import Path

from ci_host.adapters.wasm import config, image


def run_image(cache: str) -> None:
    """See to it that the image is in the cache; each step is a line on standard output."""
    try:
        image.provide(Path(cache), config.engine(), _tell)
    except image.ImageUnavailable as error:
        sys.exit(str(error))


def _tell(said: str) -> None:
    sys.stdout.write(said + "\n")
    sys.stdout.flush()
