"""Identity tokens: what a Job can show to others so that they know whose job it is.

Here: the claims. All of them are read from the Run's History and the host's settings. A Job of a
fork's changes gets none.
"""

from collections.abc import Callable
from typing import Any

from ci_host.secret_ports import SigningKeys
from ci_host.signing_keys import signed
from pipelines.events import RunStarted
from pipelines.job import JobRequest

VARIABLE = "STAUNCH_ID_TOKEN"
TOKEN_S = 600


class IdTokens:
    """`issuer` is the URL under which others find this host's keys."""

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._now = now
        self._new_id = new_id

    def make(self, started: RunStarted, request: JobRequest, job: str) -> str:
        """A fresh token for this Attempt, for the audience that it asked for."""
        now = int(self._now())
        times = {"iat": now, "nbf": now - 5, "exp": now + TOKEN_S, "jti": self._new_id()}
        claims = {"iss": self._issuer, "aud": request.id_token, **times}
        return signed(self._keys.read()[0], {**claims, **claims_of(started, request, job)})


def claims_of(started: RunStarted, request: JobRequest, job: str) -> dict[str, Any]:
    """Who it is. `sub` is what most others decide by."""
    event = started.event
    what = f"environment:{request.environment}" if request.environment else f"ref:{event.ref}"
    return {
        "sub": f"repo:{started.repo_name}:{what}",
        "repo": started.repo_name,
        "repo_id": started.repo,
        "ref": event.ref,
        "sha": event.commit,
        "event": str(event.kind),
        "environment": request.environment,
        "pool": "" if request.labels else request.pool,
        "pipeline": started.pipeline,
        "run": started.run,
        "job": job,
        "attempt": int(job.rpartition(".")[2]),
    }
