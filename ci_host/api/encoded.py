"""Encoded: answers in JSON that are encoded at once.

Of what a route returns the framework makes a model, and of that the JSON: for a list of runs as
much work as to read it. Nothing is gained by it where the route has made every value itself. Such a
route declares what it answers with `response_model`, for the description of the API.
"""

from collections.abc import Mapping

from fastapi import Response
from pydantic_core import to_json


def encoded(content: Mapping[str, object]) -> Response:
    """As the framework encodes it: there is no number in JSON that is none, nor infinite."""
    return Response(to_json(content, inf_nan_mode="null"), media_type="application/json")
