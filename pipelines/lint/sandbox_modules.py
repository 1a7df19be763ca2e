"""The modules of the sandbox: CPython 3.14's standard library, as far as it is in the guest image.

Only what was imported while the image was built is there. The host's Python may be another one:
what it has and the image has not, and the reverse, is listed. A test asks the image itself.
"""

import sys
from collections.abc import Mapping

GONE = frozenset(
    {
        "aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt",
        "distutils", "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib",
        "ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu",
        "xdrlib", "bz2", "ctypes", "curses", "fcntl", "grp", "idlelib", "lzma", "mmap",
        "msvcrt", "nt", "pty", "pwd", "readline", "resource", "ssl", "syslog", "termios",
        "tkinter", "tty", "turtle", "turtledemo", "winreg", "winsound",
    }
)  # fmt: skip
NEW = frozenset({"annotationlib", "compression"})
STDLIB = (sys.stdlib_module_names - GONE) | NEW

# Of the packages of the standard library: all that can be imported with a dot.
_PARTS: Mapping[str, str] = {
    "asyncio": (
        "base_events base_futures base_subprocess base_tasks constants coroutines "
        "events exceptions format_helpers futures graph locks log mixins protocols "
        "queues runners selector_events sslproto staggered streams subprocess "
        "taskgroups tasks threads timeouts transports trsock unix_events"
    ),
    "collections": "abc",
    "concurrent": "futures",
    "email": (
        "base64mime charset contentmanager encoders errors feedparser generator header "
        "headerregistry iterators message mime mime.base mime.multipart "
        "mime.nonmultipart mime.text parser policy quoprimime utils"
    ),
    "encodings": (
        "aliases ascii idna latin_1 punycode raw_unicode_escape unicode_escape utf_16 "
        "utf_8 utf_8_sig"
    ),
    "html": "entities parser",
    "http": "client cookies",
    "importlib": "abc machinery metadata resources resources.abc util",
    "json": "decoder encoder scanner",
    "logging": "config handlers",
    "multiprocessing": "context process reduction",
    "os": "path",
    "pyexpat": "errors model",
    "sqlite3": "dbapi2",
    "string": "templatelib",
    "unittest": "case loader main mock result runner signals suite util",
    "urllib": "error parse request response robotparser",
    "wsgiref": "util",
    "xml": (
        "dom dom.NodeFilter dom.domreg dom.minicompat dom.minidom dom.xmlbuilder etree "
        "etree.ElementPath etree.ElementTree parsers parsers.expat parsers.expat.errors "
        "parsers.expat.model sax sax.handler sax.saxutils sax.xmlreader"
    ),
}
PARTS = frozenset(f"{top}.{part}" for top, parts in _PARTS.items() for part in parts.split())
