"""Visitor: somebody who asks for a page, sends a form, and sees what came of it."""

import httpx2

from tests.web.world import SECRETS, World

OURS = {"sec-fetch-site": "same-origin"}
GIVEN = {"key": "approve", "decision": "approve", "input.percent": "25", "input.share": "0.5",
         "input.note": "", "comment": " go "}  # fmt: skip


def client_of(world: World, who: str = "ada") -> httpx2.AsyncClient:
    cookies = {"staunch_token": SECRETS[who]} if who else {}
    transport = httpx2.ASGITransport(app=world.app)
    return httpx2.AsyncClient(transport=transport, base_url="http://test", cookies=cookies)


async def check(world: World, path: str, *, who: str = "ada", **options) -> httpx2.Response:
    async with client_of(world, who) as client:
        if "data" in options:
            headers = {**OURS, **options.pop("headers", {})}
            return await client.post(path, headers=headers, **options)
        return await client.get(path, **options)


async def newest_input(world, story):
    return (await world.history.inputs_after(story.run, 0))[-1].input
