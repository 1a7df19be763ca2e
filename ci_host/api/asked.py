"""Asked: the parameters of an address as one object. What they mean is where each is declared."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Kind = TypeVar("Kind")


def asked(kind: Callable[..., Kind]) -> Callable[..., Awaitable[Kind]]:
    """For `Depends`: a class of which each field is a parameter.

    The framework has a thread make whatever is not async, and to wait for one costs more than a
    look at the fields.
    """

    async def made(**fields: Any) -> Kind:  # noqa: ANN401 whatever the class declares
        return kind(**fields)

    made.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]  # what is declared
    return made
