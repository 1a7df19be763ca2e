"""Checks: what a GitHub App shows on a commit, with a page of its own, annotations and buttons.

Theory of operation: one check run for each (commit, context, Run). Its number is GitHub's, so it is
looked for under the Run's id (`external_id`) before one is made: whoever died after it was made
finds it. The number is then remembered; what is remembered and wrong is forgotten and looked for
once more. Annotations are added by each request and never replaced: how many are there already is
asked for, or known, and only the others are sent.

What a Status is as a check is in `check_body`. Source: GitHub's REST API, "Check runs".
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
import msgspec

from pipelines.repo import Connection
from pipelines.status import Status
from webhooks.forge import Later, Refused, Sent, Told
from webhooks.github.app import HEADERS, AppTokens, Purpose
from webhooks.github.check_body import (
    ANNOTATIONS_REQUEST_MAX,
    annotations_of,
    check_of,
    external_id_of,
    name_of,
)
from webhooks.status_api import classify, message_in, refused_place, request

PER_PAGE = 100
# GitHub has at most 1,000 check runs of a name on a commit.
PAGES_MAX = 10
KNOWN_MAX = 10_000

_ADVICE = {
    401: "The App's token was refused twice; the App may have been removed or suspended there.",
    403: "The App may not write checks there; give it that permission, and have it accepted.",
    404: "The App is not installed on the repository any more, or that has moved.",
    422: "The commit is unknown there, or GitHub's rules have changed.",
}


class _App(msgspec.Struct):
    id: int
    client_id: str | None = None


class _Output(msgspec.Struct):
    annotations_count: int | None = 0


class _CheckRun(msgspec.Struct):
    id: int
    external_id: str | None = None
    output: _Output | None = None
    app: _App | None = None


class _CheckRuns(msgspec.Struct):
    check_runs: list[_CheckRun]


@dataclass(frozen=True, slots=True)
class _Known:
    """A check run that is there, with so many annotations. `said`: what it was told last, by us."""

    id: int
    annotations: int
    said: bytes = b""


@dataclass(frozen=True, slots=True)
class _Stale:
    """What was remembered may be of yesterday; `told`: what it is if it is not."""

    told: Told


class KnownChecks:
    """The numbers of check runs, by what they show. Losing it costs a request for each."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], _Known] = OrderedDict()

    def get(self, status: Status) -> _Known | None:
        """What is remembered of the check that shows this."""
        return self._kept.get(_place(status))

    def keep(self, status: Status, known: _Known) -> None:
        """Remember it; the oldest is forgotten for it where there are too many."""
        self._kept[_place(status)] = known
        self._kept.move_to_end(_place(status))
        if len(self._kept) > KNOWN_MAX:
            self._kept.popitem(last=False)

    def forget(self, status: Status) -> None:
        """It may not be so any more."""
        self._kept.pop(_place(status), None)


def _place(status: Status) -> tuple[str, ...]:
    check = (name_of(status), external_id_of(status))
    return (status.connection, status.repo_name, status.commit, *check)


async def runs_of_suite(
    client: httpx2.AsyncClient,
    tokens: AppTokens,
    connection: Connection,
    repo_name: str,
    suite: str,
    *,
    now: float,
) -> list[str] | Later | Refused:
    """Whose the newest checks of this App in a check suite are, by what they say. Never raises."""
    token = await tokens.token(connection, repo_name, Purpose.CHECKS)
    if not isinstance(token, str):
        return token
    headers = {**HEADERS, "Authorization": f"Bearer {token}"}
    url = f"{connection.api_url.rstrip('/')}/repos/{repo_name}/check-suites/{suite}/check-runs"
    found: list[str] = []
    for page in range(1, PAGES_MAX + 1):
        query = urlencode({"filter": "latest", "per_page": PER_PAGE, "page": page})
        answer = await request(client, f"{url}?{query}", headers, None, "GET")
        if not isinstance(answer, httpx2.Response):
            return answer
        if not answer.is_success:
            tokens.forget(connection, repo_name, Purpose.CHECKS)
            told = classify(answer, now, _ADVICE)
            assert isinstance(told, Later | Refused), "what is no success is one of these"
            return told
        try:
            runs = msgspec.json.decode(answer.content, type=_CheckRuns).check_runs
        except (msgspec.MsgspecError, ValueError):
            return Later("the forge's list of check runs cannot be read")
        found += [run.external_id or "" for run in runs if _is_by(run, connection)]
        if len(runs) < PER_PAGE:
            break
    return found


def _is_by(run: _CheckRun, connection: Connection) -> bool:
    """Another App's is not ours, whatever it says of itself."""
    return run.app is not None and connection.app in (str(run.app.id), run.app.client_id)


class GitHubChecks:
    """See StatusClient. Works for github.com and for Enterprise Server (`…/api/v3`)."""

    def __init__(
        self,
        connection: Connection,
        client: httpx2.AsyncClient,
        tokens: AppTokens,
        known: KnownChecks,
        now: Callable[[], float],
    ) -> None:
        self._connection, self._client = connection, client
        self._tokens, self._known, self._now = tokens, known, now

    async def post_status(self, status: Status) -> Told:
        """See StatusClient."""
        if (refused := refused_place(status)) is not None:
            return refused
        told = await self._tell(status)
        if isinstance(told, _Stale):
            self._known.forget(status)
            self._tokens.forget(self._connection, status.repo_name, Purpose.CHECKS)
            told = await self._tell(status)
        outcome = told.told if isinstance(told, _Stale) else told
        if not isinstance(outcome, Sent):
            # Whether the forge has done a part of it is asked before the next try.
            self._known.forget(status)
        return outcome

    async def _tell(self, status: Status) -> Told | _Stale:
        token = await self._tokens.token(self._connection, status.repo_name, Purpose.CHECKS)
        if not isinstance(token, str):
            return token
        headers = {**HEADERS, "Authorization": f"Bearer {token}"}
        known = self._known.get(status)
        if known is not None and known.said == _said(status):
            return Sent()
        if known is None:
            found = await self._find(status, headers)
            if isinstance(found, Later | Refused | _Stale):
                return found
            known = found
        return await self._write(status, headers, known)

    async def _find(
        self, status: Status, headers: Mapping[str, str]
    ) -> _Known | Later | Refused | _Stale | None:
        """The check run that shows this already, or None."""
        url = f"{self._repo_url(status)}/commits/{status.commit}/check-runs"
        for page in range(1, PAGES_MAX + 1):
            asked = {"check_name": name_of(status), "filter": "all", "per_page": PER_PAGE}
            query = urlencode({**asked, "page": page})
            answer = await self._call("GET", f"{url}?{query}", headers, None)
            if not isinstance(answer, httpx2.Response):
                return answer
            try:
                runs = msgspec.json.decode(answer.content, type=_CheckRuns).check_runs
            except (msgspec.MsgspecError, ValueError):
                return Later("the forge's list of check runs cannot be read")
            said = [run for run in runs if run.external_id == external_id_of(status)]
            ours = [run for run in said if _is_by(run, self._connection)]
            if ours:
                newest = max(ours, key=lambda run: run.id)
                return _known(newest)
            if len(runs) < PER_PAGE:
                break
        return None

    async def _write(
        self, status: Status, headers: Mapping[str, str], known: _Known | None
    ) -> Told | _Stale:
        body, notes = check_of(status), annotations_of(status)
        there = known.annotations if known is not None else 0
        now, later = (
            notes[there:][:ANNOTATIONS_REQUEST_MAX],
            notes[there:][ANNOTATIONS_REQUEST_MAX:],
        )
        answer = await self._put(status, headers, known, _with(body, now))
        refusal = ""
        if now and isinstance(answer, httpx2.Response) and answer.status_code == 422:
            # The verdict counts for more than what is said of lines.
            refusal, now, later = message_in(answer), [], []
            answer = await self._put(status, headers, known, body)
        judged = self._judged(answer, was_known=known is not None)
        if not isinstance(judged, httpx2.Response):
            return judged
        made = _made(judged)
        if made is None:
            return Later("the forge's answer does not say which check run it made")
        if refusal:
            return Refused(f"the check is told, but not its annotations: {refusal}")
        told = await self._add(status, headers, made.id, later)
        if isinstance(told, Sent):
            count = there + len(now) + len(later)
            self._known.keep(status, _Known(made.id, count, _said(status)))
        return told

    async def _add(
        self,
        status: Status,
        headers: Mapping[str, str],
        number: int,
        notes: Sequence[dict[str, Any]],
    ) -> Told | _Stale:
        """The annotations that one request does not hold. Verdict and summary are there already."""
        output = check_of(status)["output"]
        for first in range(0, len(notes), ANNOTATIONS_REQUEST_MAX):
            part = notes[first : first + ANNOTATIONS_REQUEST_MAX]
            url = f"{self._repo_url(status)}/check-runs/{number}"
            answer = await self._call("PATCH", url, headers, _with({"output": output}, part))
            if not isinstance(answer, httpx2.Response):
                return answer
        return Sent()

    async def _put(
        self,
        status: Status,
        headers: Mapping[str, str],
        known: _Known | None,
        body: Mapping[str, Any],
    ) -> httpx2.Response | Later | Refused:
        url = f"{self._repo_url(status)}/check-runs"
        if known is None:
            return await request(
                self._client, url, headers, {**body, "head_sha": status.commit}, "POST"
            )
        return await request(self._client, f"{url}/{known.id}", headers, body, "PATCH")

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> httpx2.Response | Later | Refused | _Stale:
        answer = await request(self._client, url, headers, body, method)
        return self._judged(answer, was_known=method == "PATCH")

    def _judged(
        self, answer: httpx2.Response | Later | Refused, *, was_known: bool
    ) -> httpx2.Response | Later | Refused | _Stale:
        if not isinstance(answer, httpx2.Response) or answer.is_success:
            return answer
        told = classify(answer, self._now(), _ADVICE)
        assert isinstance(told, Later | Refused), "what is no success is one of these"
        is_stale = answer.status_code == 401 or (was_known and answer.status_code == 404)
        return _Stale(told) if is_stale else told

    def _repo_url(self, status: Status) -> str:
        return f"{self._connection.api_url.rstrip('/')}/repos/{status.repo_name}"


def _said(status: Status) -> bytes:
    """What a check shows but for its times. A Run that still waits has not to be told again."""
    shown = {k: v for k, v in check_of(status).items() if not k.endswith("_at")}
    return hashlib.sha256(msgspec.json.encode([shown, annotations_of(status)])).digest()


def _known(run: _CheckRun) -> _Known:
    return _Known(run.id, (run.output.annotations_count or 0) if run.output is not None else 0)


def _made(answer: httpx2.Response) -> _Known | None:
    try:
        return _known(msgspec.json.decode(answer.content, type=_CheckRun))
    except (msgspec.MsgspecError, ValueError):
        return None


def _with(body: dict[str, Any], annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not annotations:
        return body
    return {**body, "output": {**body["output"], "annotations": list(annotations)}}
