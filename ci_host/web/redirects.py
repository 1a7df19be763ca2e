"""Redirects: where a login may lead. Only into these pages, whatever the address says. Pure."""

from urllib.parse import urlsplit

HOME = "/"


def safe_next(wanted: str) -> str:
    """The path to go on to, or the home page for anything that could leave this host.

    Browsers read a backslash as `/` and skip tabs and newlines: either may lead elsewhere.
    """
    if not wanted.startswith("/") or wanted.startswith("//"):
        return HOME
    if "\\" in wanted or any(ord(c) <= 32 or ord(c) == 127 for c in wanted):
        return HOME
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or parts.path.startswith(("//", "/login", "/logout")):
        return HOME
    return wanted
