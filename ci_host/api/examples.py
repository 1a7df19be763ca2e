"""Examples: what requests and answers look like, put into the API's description of itself.

The answers were recorded of an installation (`python -m tests.api_examples`), and a test compares
their form with what routes answer now.
"""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

FILE = Path(__file__).parent / "examples.json"
JSON = "application/json"


@cache
def examples() -> dict[str, dict[str, Any]]:
    """By method and path: `request` and `answer`, where there are such."""
    found: dict[str, dict[str, Any]] = msgspec.json.decode(FILE.read_bytes())
    return found


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with an example for each body that there is one of."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            known = examples().get(f"{method.upper()} {path}", {})
            if "request" in known:
                told["requestBody"]["content"][JSON]["example"] = known["request"]
            if "answer" in known:
                _good(told)["content"][JSON]["example"] = known["answer"]
    return document


def _good(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(one for code, one in told["responses"].items() if code[0] == "2")
    return found
