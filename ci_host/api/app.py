"""App: the FastAPI application of a host process, put together from its routers."""

import time
from typing import Any

from fastapi import FastAPI

from ci_host.api import (
    about,
    acts,
    announcements,
    artifacts,
    audit,
    badges,
    branches,
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
    open_jobs,
    pool_rules,
    problems,
    queue,
    reported_tests,
    runners,
    runs,
    saved_views,
    schedules,
    secrets,
    shells,
    statuses,
    subscriptions,
    tokens,
    trust,
    well_known,
)
from ci_host.api.auth import is_somebodys
from ci_host.api.body_limits import BodiesBounded
from ci_host.api.description import completed
from ci_host.api.etags import ETags
from ci_host.api.examples import with_examples
from ci_host.api.services import Services
from webhooks.routes import Hook, webhook_routes

DESCRIPTION = """Durable CI/CD pipelines. Every error is `application/problem+json` and says what
to do next. Lists are paged with `next`; times are seconds since the epoch."""

# In the order of the description.
PARTS = (
    runs,
    saved_views,
    failures,
    acts,
    forking,
    gates,
    exports,
    logs,
    log_reading,
    reported_tests,
    coverage,
    branches,
    badges,
    artifacts,
    schedules,
    secrets,
    queue,
    open_jobs,
    pool_rules,
    environments,
    trust,
    shells,
    runners,
    well_known,
    deliveries,
    statuses,
    installation,
    about,
    tokens,
    audit,
    connecting,
    announcements,
    metrics,
    device_login,
    subscriptions,
)


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
    app.add_middleware(ETags, told=services.told)
    app.add_middleware(BodiesBounded, is_known=is_somebodys)
    app.include_router(webhook_routes(hook_of(services)))
    for part in PARTS:
        app.include_router(part.router)
    describe = app.openapi

    def described() -> dict[str, Any]:
        # Only here: nothing is answered by them, and a host is to be there soon.
        from ci_host.api.answers.schemas import with_answers

        return app.openapi_schema or completed(with_answers(with_examples(describe())))

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def hook_of(services: Services) -> Hook:
    """What answers webhook calls."""
    return Hook(connections=services.directory, inbox=services.inbox, now=time.time)
