"""Identity: the key by which a runner proves that it holds an Attempt. It never leaves the machine.

Here: the key's file, in the runner's data directory, so that the next agent is the same runner. It
is made before the first lease that names it.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "runner.key"


def identity_of(root: Path) -> Ed25519PrivateKey:
    """The key of the runner whose data this is."""
    path = root / FILE
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        # A lease that names it may be durable before a name in a folder is.
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
