"""The sealed file: secrets in a repository, each encrypted by itself to the Repo's age identity.

Pure but for age's dice. Names are readable and values are not, so that a change of one is a change
of its lines alone. Where identities are kept, and who is told a value, is the engine's.
"""

import base64
import binascii
import re
import textwrap
from collections.abc import Mapping, Sequence

import pyrage

from pipelines.secret import NAME, SECRET_BYTES_MAX, unkeepable

PATH = ".staunch/secrets.age"
FILE_BYTES_MAX = 1_048_576
ENTRY_BYTES_MAX = 2 * SECRET_BYTES_MAX
"""What age makes of the longest value, in its armour, for a few recipients."""
RECIPIENTS_MAX = 10
"""Each is tried with each identity, at a millisecond of nothing else: an entry must not hold up
the host."""

# The few words of YAML that are needed: its parser takes seconds for what may be in such a file.
_HEAD = re.compile(r"(\w+): \|-?\s*\Z", re.ASCII)
_FIRST, _LAST = "-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----"
_STANZA, _HEADER_END = b"\n-> X25519 ", b"\n--- "
_ABOUT = (
    "# Secrets of this repository, for age; `staunch secret encrypt NAME` writes them.\n"
    "# Names can be read by everybody, values by the installation alone.\n"
)


class SealedFileRefused(Exception):
    """The file, or a value in it, cannot be used; the message says why, and never what is in it."""


def new_identity() -> str:
    """A private key, in age's form."""
    return str(pyrage.x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """Its public half, to which anybody encrypts."""
    return str(pyrage.x25519.Identity.from_str(identity).to_public())


def entries_of(content: bytes) -> dict[str, str]:
    """The encrypted values by name. Raises SealedFileRefused."""
    if len(content) > FILE_BYTES_MAX:
        raise SealedFileRefused(
            f"{PATH} has {len(content):,} bytes; {FILE_BYTES_MAX:,} are allowed: take out what no"
            " job asks for"
        )
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise SealedFileRefused(f"{PATH} is no text in UTF-8 (byte {error.start})") from error
    blocks: dict[str, list[str]] = {}
    name = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if name and line.startswith(" "):
            blocks[name].append(line.strip())
            continue
        head = _HEAD.match(line)
        if head is None or not NAME.match(name := head.group(1)):
            raise SealedFileRefused(
                f"{PATH}, line {number}: this must be `NAME: |`, as in `DEPLOY_KEY: |`, or a line"
                " of an age file, with spaces before it"
            )
        if name in blocks:
            raise SealedFileRefused(f"{PATH}, line {number}: {name} is there twice; keep one")
        blocks[name] = []
    return {name: "\n".join(block) for name, block in blocks.items()}


def written(content: bytes, name: str, sealed: str) -> bytes:
    """The file with this entry, added or replaced; comments at its top stay.

    Raises SealedFileRefused for a file that cannot be read.
    """
    entries = entries_of(content) | {name: sealed}
    top = []
    for line in content.decode().splitlines(keepends=True):
        if line.strip() and not line.startswith("#"):
            break
        top.append(line)
    head = "".join(top).rstrip("\n")
    blocks = [f"{key}: |\n{textwrap.indent(text.strip(), '  ')}\n" for key, text in entries.items()]
    return ((f"{head}\n" if head else _ABOUT) + "".join(blocks)).encode()


def sealed_value(name: str, value: str, recipients: Sequence[str]) -> str:
    """A value, encrypted under its name. Raises SealedFileRefused."""
    if not NAME.match(name):
        raise SealedFileRefused(
            f"{name!r} is no name of a secret: letters, digits and _, as in DEPLOY_KEY"
        )
    if why := unkeepable(value):
        raise SealedFileRefused(why)
    if len(recipients) > RECIPIENTS_MAX:
        raise SealedFileRefused(_too_many(len(recipients)))
    keys = [_recipient(text) for text in recipients]
    # The name is inside too: an entry under another's name opens for nobody.
    sealed: bytes = pyrage.encrypt(f"{name}={value}".encode(), keys, armored=True)
    return sealed.decode()


def opened_value(entries: Mapping[str, str], name: str, identities: Sequence[str]) -> str:
    """The value of an entry that there is. Raises SealedFileRefused."""
    sealed = entries[name].strip()
    if len(sealed) > ENTRY_BYTES_MAX:
        raise SealedFileRefused(
            f"{PATH}: {name} has {len(sealed):,} bytes; {ENTRY_BYTES_MAX:,} are allowed"
        )
    if not (sealed.startswith(_FIRST) and sealed.endswith(_LAST)):
        raise SealedFileRefused(
            f"{PATH}: {name} is no age file with armour (from {_FIRST} to {_LAST}); encrypt it anew"
        )
    keys = [pyrage.x25519.Identity.from_str(text) for text in identities]
    try:
        content = base64.b64decode("".join(sealed.splitlines()[1:-1]), validate=True)
        count = content.partition(_HEADER_END)[0].count(_STANZA)
        if count > RECIPIENTS_MAX:
            raise SealedFileRefused(f"{PATH}: {name}: {_too_many(count)}")
        plain: str = pyrage.decrypt(content, keys).decode()
    except (pyrage.DecryptError, binascii.Error, ValueError) as error:
        if "No matching keys" in str(error):
            raise SealedFileRefused(
                f"{PATH}: {name} is encrypted for another public key than this repository has here"
                f" ({recipient_of(identities[0])}); encrypt it anew for this one"
            ) from error
        raise SealedFileRefused(f"{PATH}: {name} is damaged; encrypt it anew") from error
    own, separator, value = plain.partition("=")
    if not separator or own != name:
        raise SealedFileRefused(
            f"{PATH}: what is under {name} was encrypted for another name; a value belongs to its"
            " name, encrypt it anew"
        )
    if why := unkeepable(value):
        raise SealedFileRefused(f"{PATH}: {name}: {why}")
    return value


def _too_many(count: int) -> str:
    return f"it is encrypted for {count} public keys; {RECIPIENTS_MAX} are allowed"


def _recipient(text: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise SealedFileRefused(
            f"{text[:80]!r} is no public key of age (age1…); `staunch secret public-key` prints it"
        ) from error
