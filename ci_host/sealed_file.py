"""The sealed file: secrets in a repository, each encrypted by itself to the Repo's age identity.

Pure but for age's dice. Names are readable and values are not, so that a change of one is a change
of its lines alone. Where identities are kept, and who is told a value, is the engine's.
"""

import textwrap
from collections.abc import Mapping, Sequence

import pyrage
import yaml

from pipelines.secret import NAME, SECRET_BYTES_MAX, unkeepable

PATH = ".staunch/secrets.age"
FILE_BYTES_MAX = 1_048_576
ENTRY_BYTES_MAX = 2 * SECRET_BYTES_MAX
"""What age makes of the longest value, in its armour, for a few recipients."""

_FIRST, _LAST = "-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----"
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
        root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise SealedFileRefused(
            f"{PATH} is no YAML that could be read ({type(error).__name__}); each entry is"
            " `NAME: |` and the lines of an age file below it"
        ) from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise SealedFileRefused(f"{PATH} must be a list of `NAME: |` with an age file below each")
    found: dict[str, str] = {}
    for key, value in root.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not NAME.match(key.value):
            raise SealedFileRefused(
                f"{PATH}, line {line}: a name is of letters, digits and _, as in DEPLOY_KEY"
            )
        if key.value in found:
            raise SealedFileRefused(f"{PATH}, line {line}: {key.value} is there twice; keep one")
        if not isinstance(value, yaml.ScalarNode):
            raise SealedFileRefused(f"{PATH}, line {line}: {key.value} must be an age file, a text")
        found[key.value] = value.value
    return found


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
        plain: str = pyrage.decrypt(sealed.encode(), keys).decode()
    except (pyrage.DecryptError, UnicodeDecodeError) as error:
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


def _recipient(text: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise SealedFileRefused(
            f"{text[:80]!r} is no public key of age (age1…); `staunch secret public-key` prints it"
        ) from error
