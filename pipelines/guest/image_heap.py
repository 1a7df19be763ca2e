"""The image's heap: modules loaded in advance, and no holes left for a Run's objects to fall into.

Only what is imported while the image is built exists in the sandbox. After that many imports the
heap is full of small free chunks; an object put into one dirties a page of its own, so they are
filled here, once (facts: a load then touches half as many pages).
"""

import gc
import importlib
import sys

# Not for a sandbox, or with effects when imported.
_SKIPPED = frozenset(
    {"antigravity", "this", "idlelib", "turtle", "turtledemo", "tkinter", "lib2to3", "__main__"}
)

_SUBMODULES = (
    "asyncio.queues",
    "collections.abc",
    "concurrent.futures",
    "email.message",
    "email.mime.multipart",
    "email.mime.text",
    "email.policy",
    "email.utils",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.raw_unicode_escape",
    "encodings.unicode_escape",
    "encodings.utf_16",
    "encodings.utf_8",
    "encodings.utf_8_sig",
    "html.entities",
    "html.parser",
    "http.client",
    "http.cookies",
    "importlib.metadata",
    "importlib.resources",
    "json.decoder",
    "logging.config",
    "logging.handlers",
    "os.path",
    "string.templatelib",
    "unittest.case",
    "unittest.mock",
    "urllib.error",
    "urllib.parse",
    "urllib.request",
    "urllib.robotparser",
    "wsgiref.util",
    "xml.dom.minidom",
    "xml.etree.ElementTree",
    "xml.sax.saxutils",
    "zoneinfo",
)


def import_stdlib() -> int:
    """Import whatever of the standard library works here; how many modules did."""
    for name in [*sorted(sys.stdlib_module_names - _SKIPPED), *_SUBMODULES]:
        try:
            importlib.import_module(name)
        except BaseException:  # noqa: BLE001, S112 - a module may refuse in any way it likes
            continue
    return len(sys.modules)


def fill_holes() -> list[object]:
    """Fill the free chunks of the heap, largest first; the answer must be kept for ever."""
    slots: list[object] = [None] * 400_000
    used = top = 0
    sizes = [65536, 32768, 16384, 8192, 4096, 2048, 1536, 1024, 768, *range(640, 16, -16)]
    for size in sizes:
        needed = 2 if size >= 8192 else 8 if size >= 1024 else 40
        above = tried = 0
        while above < needed and tried < 60_000 and used < len(slots) - 10:
            block: object = object()
            if size >= 32:
                block = bytes(size - 25 if size > 40 else size - 24)
            slots[used] = block
            used += 1
            tried += 1
            if id(block) > top:
                above += 1
                top = id(block)
            else:
                above = 0
    kept = slots[:used]
    del slots
    gc.collect()
    gc.freeze()
    return kept
