"""Entered: whether what was entered is what is asked for, and the values it comes to.

At a gate, and at the start of a run. The host refuses with this before it accepts, and the driver
asks once more: one function, so that they agree. `types` and `rules` are those of GateTerms and
InputTerms in their wire form; an input without a rule must be entered and may be any value of its
type.
"""

import json
from collections.abc import Mapping
from typing import Any

from staunch.patterns import Pattern

Types = Mapping[str, str]
Rules = Mapping[str, Mapping[str, Any]]

SHOWN_CHARS_MAX = 80
NAMES_MAX = 50
WITH_PATTERN_CHARS_MAX = 1_000


class WrongInput(ValueError):
    """What was entered is not what is asked for; the message names the input and the rule."""


def complete(
    types: Types, rules: Rules, entered: Mapping[str, Any], asked: str = "the gate's inputs"
) -> dict[str, Any]:
    """Every input's value, defaults included; `asked` is what an error calls them.

    Raises WrongInput.
    """
    unknown = sorted(set(entered) - set(types))
    missing = sorted(name for name in types if name not in entered and _must(rules.get(name)))
    if unknown or missing:
        wanted = ", ".join(words(name, types[name], rules.get(name)) for name in types) or "none"
        left = unknown or missing
        named = ", ".join(cut(name) for name in left[:NAMES_MAX])
        wrong = f"{'unknown' if unknown else 'missing'}: {named}"
        raise WrongInput(f"{asked} are {wanted}; {wrong}")
    return {
        name: value(name, kind, rules.get(name), entered[name])
        if name in entered
        else rules[name]["default"]
        for name, kind in types.items()
    }


def defaults(types: Types, rules: Rules) -> dict[str, Any]:
    """The inputs that nobody must enter: what they are where nobody is asked."""
    return {name: rules[name]["default"] for name in types if not _must(rules.get(name))}


def value(name: str, kind: str, rule: Mapping[str, Any] | None, given: Any) -> Any:
    """One input's value. Raises WrongInput."""
    rule = rule or {}
    if given is None and not _must(rule) and rule.get("default") is None:
        return None
    found = _of_type(name, kind, given)
    choices = rule.get("choices") or []
    if choices and found not in choices:
        raise WrongInput(f"input {name!r} must be one of {_list(choices)}, not {_shown(given)}")
    least, most = rule.get("min"), rule.get("max")
    if least is not None and found < least:
        raise WrongInput(f"input {name!r} must be at least {_number(least)}, not {_shown(given)}")
    if most is not None and found > most:
        raise WrongInput(f"input {name!r} must be at most {_number(most)}, not {_shown(given)}")
    length = rule.get("max_length")
    if length is not None and len(found) > length:
        raise WrongInput(f"input {name!r} may have {length} characters, not {len(found)}")
    pattern = rule.get("pattern") or ""
    if pattern and len(found) > WITH_PATTERN_CHARS_MAX:
        # Also where nobody said so: how long a match takes depends on the length.
        raise WrongInput(
            f"input {name!r} may have {WITH_PATTERN_CHARS_MAX:,} characters, not {len(found):,}"
        )
    if pattern and not Pattern(pattern).matches(found):
        raise WrongInput(f"input {name!r} must have the form {pattern}, not {_shown(given)}")
    return found


def words(name: str, kind: str, rule: Mapping[str, Any] | None) -> str:
    """What is asked for, in words: `percent: int (1 to 100, default 25)`."""
    rule = rule or {}
    least, most, length = rule.get("min"), rule.get("max"), rule.get("max_length")
    said = []
    if rule.get("choices"):
        said.append(f"one of {_list(rule['choices'])}")
    if least is not None and most is not None:
        said.append(f"{_number(least)} to {_number(most)}")
    elif least is not None:
        said.append(f"at least {_number(least)}")
    elif most is not None:
        said.append(f"at most {_number(most)}")
    if length is not None:
        said.append(f"up to {length} characters")
    if rule.get("pattern"):
        said.append(f"of the form {rule['pattern']}")
    if not _must(rule):
        default = rule.get("default")
        said.append("optional" if default is None else f"default {_plain(default)}")
    return f"{name}: {kind}" + (f" ({', '.join(said)})" if said else "")


def _must(rule: Mapping[str, Any] | None) -> bool:
    return rule is None or rule.get("required", True)


def _of_type(name: str, kind: str, given: Any) -> Any:
    is_bool = isinstance(given, bool)
    fits = {
        "str": isinstance(given, str),
        "int": isinstance(given, int) and not is_bool,
        "float": isinstance(given, int | float) and not is_bool,
        "bool": is_bool,
    }[kind]
    if fits and kind == "float":
        try:
            given = float(given)
        except OverflowError:
            fits = False
        # Infinities and what is no number are not in JSON, so the History could not keep them.
        fits = fits and given - given == 0
    if fits:
        return given
    # On a command line what reads as JSON is taken as that; a text can be quoted twice.
    hint = f"; as a text: {json.dumps(_text(given))}" if kind == "str" else ""
    raise WrongInput(f"input {name!r} must be of type {kind}, not {_shown(given)}{hint}")


def _text(given: Any) -> str:
    try:
        return json.dumps(given)
    except (TypeError, ValueError, RecursionError):
        return str(type(given).__name__)


def _shown(given: Any) -> str:
    return cut(repr(given))


def cut(text: str) -> str:
    """As much of a text as an error message holds."""
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def _plain(given: Any) -> str:
    return given if isinstance(given, str) and given else json.dumps(given)


def _number(given: float) -> str:
    return str(int(given)) if given == int(given) else repr(given)


def _list(choices: list[Any]) -> str:
    return ", ".join(_plain(one) for one in choices)
