"""Loading: how a process loads its code, which takes longer than anything else in its start.

What is not needed at once is loaded in a thread, beside the work. The garbage collector is off
meanwhile: nothing of what is loaded becomes garbage, and looking through it again and again would
be a seventh of the start, and of each later collection.
"""

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")


class Loading(Generic[Loaded]):
    """Begins at once; `load` imports, and answers what the process came for."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._loaded: Future[Loaded] = Future()
        self._load = load
        # A daemon: who is told to end need not wait until all is loaded.
        threading.Thread(target=self._run, name="loading", daemon=True).start()

    async def done(self) -> Loaded:
        """What was loaded. Raises what its import raised."""
        return await asyncio.wrap_future(self._loaded)

    def _run(self) -> None:
        try:
            self._loaded.set_result(self._load())
        except BaseException as error:  # noqa: BLE001  whoever waits has it
            self._loaded.set_exception(error)


def begin_loading() -> None:
    """Nothing is collected from here on."""
    gc.disable()


def end_loading() -> None:
    """What there is now stays for good, and is not looked through any more."""
    gc.freeze()
    gc.enable()
