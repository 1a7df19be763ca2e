"""RequestsMeasured: how many requests there were, of which route, with which answer, how fast.

What an installation counts besides is in `metrics.py`.
"""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhooks.hook_of_repo import called_by
from webhooks.routes import HOOK_PATH, REPO_HOOK_PATH

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Whatever somebody makes up is one route: a name of its own for each would fill the memory.
NO_ROUTE = "(none)"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class RequestNumbers:
    """The numbers of one process: of its requests, and of itself."""

    def __init__(self, steady: Callable[[], float] = time.perf_counter) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.steady = steady
        self.seconds = Histogram(
            "staunch_http_request_seconds",
            "Requests, by route and status, and how long each took until its answer began",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )


class RequestsMeasured:
    """An ASGI application around another."""

    def __init__(self, application: ASGIApp, numbers: RequestNumbers) -> None:
        self._application, self._numbers = application, numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        began = self._numbers.steady()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = self._numbers.steady() - began
                method = scope["method"] if scope["method"] in METHODS else "other"
                status = str(message["status"])
                self._numbers.seconds.labels(method, _route_of(scope), status).observe(took)
            await send(message)

        await self._application(scope, receive, told)


def _route_of(scope: Scope) -> str:
    route = scope.get("route")
    if route is not None:
        return str(getattr(route, "path", NO_ROUTE))
    called = called_by(scope["path"])
    if called is None:
        return NO_ROUTE
    return REPO_HOOK_PATH if called[1] else HOOK_PATH
