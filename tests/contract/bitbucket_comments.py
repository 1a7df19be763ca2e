"""Comments of Bitbucket Cloud and Data Center in memory; see StrictComments.

Whose a comment is they tell by the account alone, and who we are they do not tell a token of a
repository. A change by anybody but the author is refused, and so is one of another version at Data
Center.
"""

import json
import re
from typing import Any
from urllib.parse import unquote

import httpx2

from tests.contract.comment_forge import ME, PROJECT, REPO, Said, StrictComments

UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
SHOWN, HIDDEN = "<!-- staunch report 0123 -->\n", "[//]: # (staunch report 0123)\n\n"
CLOUD = rf"/2\.0/repositories/waterways/{{{UUID}}}/pullrequests/7/comments"
SERVER = r"/rest/api/latest/projects/waterways/repos/lock"
LIKES = SERVER.replace("/api/", "/comment-likes/")
CALLS = {
    "bitbucket": {
        rf"GET {CLOUD}": "listed",
        rf"POST {CLOUD}": "create",
        rf"PUT {CLOUD}/(\d+)": "update",
    },
    "bitbucket-dc": {
        rf"GET {SERVER}": "repository",
        rf"GET {SERVER}/pull-requests/7/activities": "listed",
        rf"POST {SERVER}/pull-requests/7/comments": "create",
        rf"PUT {SERVER}/pull-requests/7/comments/(\d+)": "update",
        rf"PUT {LIKES}/pull-requests/7/comments/(\d+)/reactions/thumbsup": "react",
    },
}
CHARS_MAX = 32_768


class StrictBitbucketComments(StrictComments):
    """`kind`: bitbucket or bitbucket-dc."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.changed = 0
        self.versions: dict[int, int] = {}

    @property
    def repo_id(self) -> str:
        """What the repository is registered with."""
        return UUID if self.kind == "bitbucket" else PROJECT

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """What it says of itself."""
        if request.headers.get("authorization") != "Bearer t0ken":
            return self._no(401, "Token is invalid")
        asked = f"{request.method} {unquote(request.url.path)}"
        for pattern, name in CALLS[self.kind].items():
            if found := re.fullmatch(pattern, asked):
                body = json.loads(request.content) if request.content else {}
                return getattr(self, f"_{name}")(request, body, *found.groups())
        return self._no(404, f"{asked} is not there")

    def writes(self) -> int:
        """How many requests changed what can be read."""
        return self.changed

    def bodies(self) -> list[str]:
        """What everybody wrote, with the mark as it is meant."""
        return [one.body.replace(HIDDEN, SHOWN, 1) for one in self.comments]

    def ours(self) -> list[str]:
        """What our account has written, with the mark as it is meant."""
        return [one.body.replace(HIDDEN, SHOWN, 1) for one in self.comments if one.author == ME]

    def say(self, body: str, author: int = 41) -> Said:
        """Somebody comments; who writes a mark writes one that nobody sees."""
        made = super().say(body.replace(SHOWN, HIDDEN, 1), author)
        self.versions[made.id] = 0
        return made

    def _repository(self, request: httpx2.Request, _body: Any) -> httpx2.Response:
        return httpx2.Response(200, json={"id": self.repo, "slug": REPO})

    def _listed(self, request: httpx2.Request, _body: Any) -> httpx2.Response:
        asked = {name: value for name, value in request.url.params.items() if value.isdecimal()}
        found = [self._shown(one) for one in self.comments]
        if self.kind == "bitbucket":
            size, page = min(int(asked.get("pagelen", 10)), 100), int(asked.get("page", 1))
            there = {"values": found[(page - 1) * size : page * size], "pagelen": size}
            more = {"next": "https://elsewhere.example/"} if len(found) > page * size else {}
            return httpx2.Response(200, json={**there, **more})
        size, start = min(int(asked.get("limit", 25)), 1_000), int(asked.get("start", 0))
        told: list[dict[str, Any]] = [{"id": 1, "action": "OPENED"}] + [
            {"action": "COMMENTED", "commentAction": "ADDED", "comment": one} for one in found
        ]
        told.reverse()
        is_last = len(told) <= start + size
        there = {"values": told[start : start + size], "isLastPage": is_last}
        return httpx2.Response(
            200, json={**there, "nextPageStart": None if is_last else start + size}
        )

    def _made(self, body: Any) -> Said:
        self.changed += 1
        return self.say(self._text(body), ME)

    def _update(self, _request: httpx2.Request, body: Any, number: str) -> httpx2.Response:
        one = next((one for one in self.comments if one.id == int(number)), None)
        if one is None:
            return self._no(404, "There is no such comment")
        if one.author != ME:
            return self._no(403 if self.kind == "bitbucket" else 401, "You are not its author")
        if (refusal := self._refusal(body)) is not None:
            return refusal
        if self.kind == "bitbucket-dc" and body.get("version") != self.versions[one.id]:
            return self._no(409, "You are attempting to modify a comment based on old information")
        self.changed += one.body != self._text(body)
        one.body = self._text(body)
        self.versions[one.id] += 1
        return httpx2.Response(200, json=self._shown(one))

    def _react(self, _request: httpx2.Request, _body: Any, number: str) -> httpx2.Response:
        one = next((one for one in self.comments if one.id == int(number)), None)
        if one is None:
            return self._no(404, "There is no such comment")
        one.reactions.add("thumbsup")
        return httpx2.Response(200, json={"emoticon": {"shortcut": "thumbsup"}})

    def _refusal(self, body: Any) -> httpx2.Response | None:
        if self.is_locked:
            return self._no(403, "The issue is locked.")
        if not 0 < len(self._text(body)) <= CHARS_MAX:
            return self._no(400, "The text is too long")
        return None

    def _text(self, body: Any) -> str:
        return str(body["content"]["raw"] if self.kind == "bitbucket" else body["text"])

    def _shown(self, one: Said) -> dict[str, Any]:
        if self.kind == "bitbucket":
            whose = {"user": {"type": "user", "uuid": f"{{account {one.author}}}"}}
            return {"id": one.id, "content": {"raw": one.body}, "deleted": False, **whose}
        whose = {"author": {"id": one.author, "name": f"a{one.author}"}}
        return {"id": one.id, "version": self.versions[one.id], "text": one.body, **whose}

    def _no(self, code: int, message: str) -> httpx2.Response:
        said = {"message": message}
        body = {"error": said} if self.kind == "bitbucket" else {"errors": [said]}
        return httpx2.Response(code, json=body)
