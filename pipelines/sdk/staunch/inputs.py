"""`Input` and `Choice`: what a gate, or the start of a run, asks of people, declared.

What is declared is checked where it is written. Whether an answer fits is decided in `entered`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from staunch.entered import WrongInput, value
from staunch.patterns import Pattern

TYPES = {str: "str", int: "int", float: "float", bool: "bool"}
INPUTS_MAX = 50
CHOICES_MAX = 200
HELP_CHARS_MAX = 500
TEXT_CHARS_MAX = 10_000
# A pattern is matched in time that grows with the text's length times its own.
MATCHED_CHARS_MAX = 1_000
# Up to here every whole number is a float, which is what a bound is on the wire.
BOUND_MAX = 2**53


class _Required:
    """Stands where a default could be."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its type, and what its value must be besides.

    With a `default` it need not be entered; with `default=None` it may be left out and is None.
    `pattern` is for the whole text. `help` is shown to whoever answers.
    """

    type: type | str = str
    _: KW_ONLY
    default: Any = REQUIRED
    choices: Sequence[Any] = ()
    min: float | None = None
    max: float | None = None
    max_length: int | None = None
    pattern: str = ""
    help: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked for."""
        kind = self.kind
        if self.choices:
            _check_choices(self.choices, kind)
        _check_bounds(self, kind)
        _check_text(self, kind)
        if not isinstance(self.help, str) or len(self.help) > HELP_CHARS_MAX:
            raise ValueError(f"an input's help must be a text of up to {HELP_CHARS_MAX} characters")
        if self.default is not REQUIRED:
            try:
                value("default", kind, self.rule(), self.default)
            except WrongInput as wrong:
                raise ValueError(f"an input's default does not fit: {wrong}") from None

    @property
    def kind(self) -> str:
        """The type's name on the wire. Raises TypeError."""
        found = TYPES.get(self.type) if isinstance(self.type, type) else self.type
        if found not in TYPES.values():
            raise TypeError(f"an input must be str, int, float or bool, not {self.type!r}")
        assert isinstance(found, str)
        return found

    def rule(self) -> dict[str, Any]:
        """The InputRule in its wire form."""
        is_required = self.default is REQUIRED
        length = self.max_length
        return {
            "required": is_required,
            "default": None if is_required else self.default,
            "choices": list(self.choices),
            "min": self.min,
            "max": self.max,
            "max_length": MATCHED_CHARS_MAX if length is None and self.pattern else length,
            "pattern": self.pattern,
            "help": self.help,
        }


def Choice(*values: Any, default: Any = REQUIRED, help: str = "") -> Input:
    """An input that is one of these values, all of one type."""
    if not values:
        raise ValueError("Choice needs the values to choose from: Choice('eu', 'us')")
    return Input(type(values[0]), choices=values, default=default, help=help)


def wire(inputs: Mapping[str, Any] | None) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """(types, rules) by name. Raises TypeError or ValueError, naming the input."""
    types: dict[str, str] = {}
    rules: dict[str, dict[str, Any]] = {}
    if len(inputs or {}) > INPUTS_MAX:
        raise ValueError(f"it may ask for {INPUTS_MAX} inputs, not {len(inputs or {})}")
    for name, asked in (inputs or {}).items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"an input's name must be a text, not {name!r}")
        try:
            one = _declared(asked)
        except (TypeError, ValueError) as wrong:
            raise type(wrong)(f"input {name!r}: {wrong}") from None
        types[name] = one.kind
        if isinstance(asked, Input | list | tuple):
            rules[name] = one.rule()
    return types, rules


def _declared(asked: Any) -> Input:
    if isinstance(asked, Input):
        return asked
    if isinstance(asked, list | tuple):
        return Choice(*asked)
    return Input(asked)


def _check_choices(choices: Sequence[Any], kind: str) -> None:
    if isinstance(choices, str) or not isinstance(choices, list | tuple):
        raise TypeError(f"choices must be a list of values, not {choices!r}")
    if len(choices) > CHOICES_MAX:
        raise ValueError(f"an input may have {CHOICES_MAX} choices, not {len(choices)}")
    for one in choices:
        if TYPES.get(type(one)) != kind or kind == "bool":
            raise TypeError(f"choices must be texts or numbers of one type; {one!r} is not {kind}")
    if len(set(choices)) != len(choices):
        raise ValueError("choices must differ from one another")


def _check_bounds(one: Input, kind: str) -> None:
    bounds = [bound for bound in (one.min, one.max) if bound is not None]
    if bounds and (kind not in ("int", "float") or one.choices):
        raise TypeError("min and max are for numbers that are not chosen from a list")
    for bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, int | float) or bound != bound:
            raise TypeError(f"min and max must be numbers, not {bound!r}")
        if abs(bound) > BOUND_MAX:
            raise ValueError(f"min and max must be within {BOUND_MAX} of zero, not {bound!r}")
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        raise ValueError(f"min={one.min} is more than max={one.max}: no number is between them")


def _check_text(one: Input, kind: str) -> None:
    if not one.pattern and one.max_length is None:
        return
    if kind != "str" or one.choices:
        raise TypeError("pattern and max_length are for texts that are not chosen from a list")
    most = MATCHED_CHARS_MAX if one.pattern else TEXT_CHARS_MAX
    length = one.max_length
    if length is not None and (type(length) is not int or not 1 <= length <= most):
        raise ValueError(f"max_length must be 1 to {most}, not {length!r}")
    if not isinstance(one.pattern, str):
        raise TypeError(f"pattern must be a text, not {one.pattern!r}")
    if one.pattern:
        try:
            Pattern(one.pattern)
        except ValueError as wrong:
            raise ValueError(f"pattern {one.pattern!r} cannot be used: {wrong}") from None
