"""Building: the guest image, in a process of its own, for whichever command needs it."""

import subprocess
import sys
from pathlib import Path

from ci_host.adapters.wasm.image import is_provided
from ci_host.cli.client import ClientError
from ci_host.cli.paper import paper


def build_image(cache: Path) -> None:
    """If it is not there: the compiler takes half a gigabyte, which this process should not keep.

    Raises ClientError.
    """
    if is_provided(cache):
        return
    console = paper(stderr=True, highlight=False)
    command = [sys.executable, "-m", "ci_host", "process", "image", str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as building:  # noqa: S603
        assert building.stdout is not None
        for line in building.stdout:
            console.print(f"[dim]{line.rstrip()}[/]")
    if building.returncode != 0:
        raise ClientError("the guest image could not be built; the lines above say why", 3)
