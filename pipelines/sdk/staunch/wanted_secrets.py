"""Secrets that a job asks for: their names, and the variables that its commands find them in."""

import re
from collections.abc import Mapping, Sequence

from staunch.shell import text

# As `ci_host.secret_names` and the runners have them.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
SECRETS_MAX = 50

Secrets = Sequence[str] | Mapping[str, str]


def wanted(secrets: Secrets) -> dict[str, str]:
    """By variable the secret's name. Raises TypeError or ValueError saying which is wrong."""
    if isinstance(secrets, str):
        raise TypeError(f"secrets must be a list of names: secrets=[{secrets!r}]")
    named = dict(secrets) if isinstance(secrets, Mapping) else {name: name for name in secrets}
    if len(named) > SECRETS_MAX:
        raise ValueError(f"a job can have {SECRETS_MAX} secrets, not {len(named)}")
    for variable, name in named.items():
        for word in (text(variable, "a variable of secrets"), text(name, "a secret's name")):
            if not _VARIABLE.fullmatch(word):
                raise ValueError(
                    f"secrets has {word!r}; variables and secrets have names of letters, digits"
                    " and _, such as DEPLOY_KEY"
                )
    return named


def environment_of(name: str) -> str:
    """What a job works on. Raises TypeError or ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text(name, "environment")):
        raise ValueError(
            f"environment must be a name such as 'production' (letters, digits, _ . and -, at most"
            f" 64), not {name!r}"
        )
    return name


def audience_of(name: str) -> str:
    """For whom a token is. Raises TypeError or ValueError."""
    if not re.fullmatch(r"[!-~]{1,255}", text(name, "id_token")):
        raise ValueError(
            f"id_token must be for whom the token is, such as 'sts.amazonaws.com', not {name!r}"
        )
    return name
