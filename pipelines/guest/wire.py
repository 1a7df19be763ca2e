"""JSON as the plan's values take it, and the digests over it. One canonical form."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from pipelines.guest.limits import VALUE_BYTES_MAX

_PLAIN = (str, int, bool, type(None))

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _made_encode() -> Callable[[Any], str]:
    """The encoder's C core, made once: JSONEncoder makes one anew for every value."""
    make = getattr(json.encoder, "c_make_encoder", None)
    text = getattr(json.encoder, "c_encode_basestring", None)
    if make is None or text is None:
        return _encoder.encode
    core = make(None, _encoder.default, text, None, ":", ",", False, False, False)

    def encode(value: Any) -> str:
        return "".join(core(value, 0))

    return encode


_encode = _made_encode()


def canonical(value: Any) -> str:
    """The one text for this value: no spaces, and keys in the order in which they were put in.

    Not sorted: a dict must come back from the History in the order that the plan saw.
    """
    return _encode(value)


def fingerprint(kind: str, key: str, options: Any) -> str:
    """8 hex digits over what was asked for."""
    return hashlib.sha256(canonical([kind, key, options]).encode()).hexdigest()[:8]


def child_id(parent: str, key: str, shards: int) -> str:
    """The id of a child Run, as `pipelines/ids.py` makes it."""
    found = hashlib.sha256("\x00".join([parent, "call", key]).encode()).hexdigest()
    shard = int(found[-8:], 16) % shards if shards else parent.partition("-")[0]
    return f"{shard}-{found[:20]}"


def digest(*parts: str) -> str:
    """16 hex digits over canonical texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def plain(value: Any, what: str) -> Any:
    """The value as it comes back from the History. Raises TypeError or ValueError naming `what`."""
    if type(value) in _PLAIN and (type(value) is not str or len(value) < 1024) and _small(value):
        return value
    try:
        text = canonical(value)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half a character (a lone surrogate)") from None
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{what} is no plain data: {error}; return dicts, lists, texts, finite numbers,"
            " booleans or None (for a dataclass: dataclasses.asdict)"
        ) from None
    if size > VALUE_BYTES_MAX:
        raise ValueError(
            f"{what} has {size} bytes as JSON; {VALUE_BYTES_MAX} are allowed. Keep big data in a"
            " job's files, and pass its name"
        )
    return json.loads(text)


def _small(value: Any) -> bool:
    if type(value) is str:
        return value.isascii()
    return type(value) is not int or -(2**63) <= value < 2**63


def printable(text: str) -> str:
    """The text with every half character replaced: it must pass as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
