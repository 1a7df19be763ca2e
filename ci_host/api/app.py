"""App: the FastAPI application of a host process, put together from its routers."""

import time
from typing import Any

from fastapi import FastAPI

from ci_host.api import (
    acts,
    announcements,
    artifacts,
    audit,
    connecting,
    coverage,
    deliveries,
    device_login,
    environments,
    exports,
    failures,
    forking,
    gates,
    installation,
    log_reading,
    logs,
    metrics,
    pool_rules,
    problems,
    queue,
    reported_tests,
    runners,
    runs,
    schedules,
    secrets,
    shells,
    subscriptions,
    tokens,
    trust,
    well_known,
)
from ci_host.api.etags import ETags
from ci_host.api.examples import with_examples
from ci_host.api.services import Services
from webhooks.routes import Hook, webhook_routes

DESCRIPTION = """Durable CI/CD pipelines. Every error is `application/problem+json` and says what
to do next. Lists are paged with `next`; times are seconds since the epoch."""


def create_app(services: Services) -> FastAPI:
    """The application; `services` is what its routes find as `Here`."""
    app = FastAPI(
        title="Staunch",
        version="1",
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    problems.install(app)
    app.add_middleware(audit.Audited, services=services)
    app.add_middleware(ETags)
    app.include_router(webhook_routes(hook_of(services)))
    app.include_router(runs.router)
    app.include_router(failures.router)
    app.include_router(acts.router)
    app.include_router(forking.router)
    app.include_router(gates.router)
    app.include_router(exports.router)
    app.include_router(logs.router)
    app.include_router(log_reading.router)
    app.include_router(reported_tests.router)
    app.include_router(coverage.router)
    app.include_router(artifacts.router)
    app.include_router(schedules.router)
    app.include_router(secrets.router)
    app.include_router(queue.router)
    app.include_router(pool_rules.router)
    app.include_router(environments.router)
    app.include_router(trust.router)
    app.include_router(shells.router)
    app.include_router(runners.router)
    app.include_router(well_known.router)
    app.include_router(deliveries.router)
    app.include_router(installation.router)
    app.include_router(tokens.router)
    app.include_router(audit.router)
    app.include_router(connecting.router)
    app.include_router(announcements.router)
    app.include_router(metrics.router)
    app.include_router(device_login.router)
    app.include_router(subscriptions.router)
    describe = app.openapi

    def described() -> dict[str, Any]:
        return app.openapi_schema or with_examples(describe())

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def hook_of(services: Services) -> Hook:
    """What answers webhook calls."""
    return Hook(connections=services.directory, inbox=services.inbox, now=time.time)
