"""Incarnation: a name for one life of one process."""

import os
import secrets
import time


def incarnation() -> str:
    """Never used twice, and readable in a timeline: start time, process id, some dice."""
    return f"{int(time.time())}-{os.getpid()}-{secrets.token_hex(3)}"
