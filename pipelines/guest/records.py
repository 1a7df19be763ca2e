"""Records: what importing a Bundle makes Python compile besides the modules' own code.

`@dataclass` compiles generated source and asks for signatures, `re` compiles patterns: most of the
time that loading takes. `prepare` records the results, `load` plays them. What is not found is
compiled as ever, so a miss costs time and nothing else. Bound to the guest's Python (3.14): it
replaces names inside `dataclasses` and `re`. Natively unused.
"""

import dataclasses
import inspect
import re
import re._compiler as compiler  # type: ignore[import-not-found]
from array import array
from types import CodeType
from typing import Any

Patterns = dict[tuple[Any, int], tuple[Any, int, bytes, int, dict[str, int], tuple[Any, ...]]]

_sre = compiler._sre
_real_compile = compiler.compile


class Records:
    """See `exports.Recorder`. Installed once, when the image is built."""

    def __init__(self) -> None:
        self._generated: dict[str, CodeType] = {}
        self._signatures: dict[tuple[str, str], str] = {}
        self._patterns: Patterns = {}
        self._is_recording = False
        self._asked: tuple[Any, ...] | None = None

    def install(self) -> None:
        """Stand between Python and its compilers."""
        dataclasses.exec = self._exec  # type: ignore[attr-defined]
        dataclasses.inspect = _Inspect(self)  # type: ignore[attr-defined]
        compiler._sre = _Sre(self)
        compiler.compile = self._compile

    def record(self) -> None:
        """Keep it from now on."""
        self._forget()
        self._is_recording = True

    def recorded(self) -> Any:
        """What was kept."""
        self._is_recording = False
        kept = (self._generated, self._signatures, self._patterns)
        self._forget()
        return kept

    def play(self, recorded: Any) -> None:
        """Use it."""
        self._generated, self._signatures, self._patterns = recorded

    def _forget(self) -> None:
        self._generated, self._signatures, self._patterns = {}, {}, {}

    def _exec(self, text: Any, globals_: dict[str, Any], names: dict[str, Any]) -> None:
        code = self._generated.get(text)
        if code is None:
            code = compile(text, "<string>", "exec", dont_inherit=True)
            if self._is_recording:
                self._generated[text] = code
        exec(code, globals_, names)  # noqa: S102 - what dataclasses does itself

    def signature(self, of: Any, **options: Any) -> Any:
        """The signature, or its recorded text: dataclasses only wants the text."""
        name = (of.__module__, of.__qualname__)
        text = self._signatures.get(name)
        if text is not None:
            return text
        found = inspect.signature(of, **options)
        if self._is_recording:
            self._signatures[name] = str(found)
        return found

    def sre_compile(self, *asked: Any) -> Any:
        """What re's compiler asks of the engine."""
        self._asked = asked
        return _sre.compile(*asked)

    def _compile(self, pattern: Any, flags: int = 0) -> Any:
        plain = type(pattern) in (str, bytes)
        kept = self._patterns.get((pattern, int(flags))) if plain else None
        if kept is not None:
            text, all_flags, code, groups, names, numbers = kept
            return _sre.compile(text, all_flags, array("I", code).tolist(), groups, names, numbers)
        self._asked = None
        compiled = _real_compile(pattern, flags)
        if self._is_recording and plain and self._asked is not None:
            text, all_flags, words, groups, names, numbers = self._asked
            code = array("I", [int(word) for word in words]).tobytes()
            self._patterns[pattern, int(flags)] = (
                text, int(all_flags), code, groups, dict(names), tuple(numbers),
            )  # fmt: skip
        return compiled


class _Inspect:
    def __init__(self, records: Records) -> None:
        self.signature = records.signature

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)


class _Sre:
    def __init__(self, records: Records) -> None:
        self.compile = records.sre_compile

    def __getattr__(self, name: str) -> Any:
        return getattr(_sre, name)


def forget_patterns() -> None:
    """Empty re's own cache: what was compiled while building is not for tenants to see."""
    re.purge()
