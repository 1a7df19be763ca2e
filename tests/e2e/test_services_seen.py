"""Services of a job, from a pipeline's file to what the command line says of them."""

import pytest

from tests.e2e.installed import Installed, Registered

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

ASK = "python3 -c \"import urllib.request as u; print(u.urlopen('http://web:8000').status)\""
BODY = f"""
from staunch import Service
web = Service(run="echo serving; exec python3 -m http.server 8000", port=8000)
await step.job("ask", run={ASK!r}, services={{"web": web}})
"""


def test_the_log_of_a_service_is_read_by_its_name(here: Installed, repo: Registered) -> None:
    run = repo.plan(BODY)
    shown = here.ended(run)
    assert shown["state"] == "succeeded"
    [attempt] = shown["attempts"]
    [service] = attempt["services"]
    assert (service["name"], service["state"]) == ("web", "ready")
    assert "\n200\n" in here.staunch("logs", run)
    said = here.staunch("logs", run, "ask", "--service", "web")
    assert said.startswith("serving\n")
    assert "GET / HTTP" in said
    assert "service web ready" in here.staunch("show", run)


def test_a_service_that_does_not_come_up_is_the_reason_that_is_told(
    here: Installed, repo: Registered
) -> None:
    run = repo.plan(BODY.replace("exec python3 -m http.server 8000", "exit 3"))
    shown = here.ended(run)
    assert shown["state"] == "failed"
    assert "service 'web' ended with exit code 3 before it was ready" in shown["error"]["message"]
    assert "=== web | serving" in here.staunch("logs", run)
