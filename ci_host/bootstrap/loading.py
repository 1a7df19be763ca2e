"""Loading: the garbage collector is off while a process loads its code.

Nothing of what is loaded becomes garbage: looking through it again and again would be a seventh of
the start, and of each later collection.
"""

import gc


def begin_loading() -> None:
    """Nothing is collected from here on."""
    gc.disable()


def end_loading() -> None:
    """What there is now stays for good, and is not looked through any more."""
    gc.freeze()
    gc.enable()
