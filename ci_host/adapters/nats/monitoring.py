"""Monitoring: what the embedded nats-server says of itself, over HTTP on loopback."""

import urllib.request
from http.client import HTTPResponse


def ask(url: str, timeout_s: float) -> HTTPResponse:
    """By no proxy: those that the environment names would look on a machine of their own. Raises
    OSError, which is an HTTPError if it does answer."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    answer = direct.open(url, timeout=timeout_s)
    assert isinstance(answer, HTTPResponse)
    return answer
