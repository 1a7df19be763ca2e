"""`python -m tests.bench.flood`: signed webhook calls on many connections, as they are taken.

A process of its own, so that it takes no time from the host's. Reads its settings as JSON from
standard input, and prints what came of it: how long each call took, and how many were accepted.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time


async def main() -> None:
    """Flood for a while."""
    wish = json.loads(sys.stdin.read())
    ends = time.perf_counter() + wish["seconds"]
    found = await asyncio.gather(
        *(_connection(wish, number, ends) for number in range(wish["connections"]))
    )
    samples = [one for samples, _ in found for one in samples]
    print(json.dumps({"samples": samples, "refused": sum(refused for _, refused in found)}))


async def _connection(wish: dict[str, str], number: int, ends: float) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection(wish["host"], int(wish["port"]))
    samples, refused, count = [], 0, 0
    while (began := time.perf_counter()) < ends:
        count += 1
        writer.write(_request(wish, f"flood-{number}-{count}"))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        if head.startswith(b"HTTP/1.1 202"):
            samples.append(time.perf_counter() - began)
        else:
            refused += 1
    writer.close()
    return samples, refused


def _request(wish: dict[str, str], identity: str) -> bytes:
    moment = str(int(time.time()))
    change = {"old": "1" * 40, "new": "0" * 40, "ref": f"refs/heads/{identity}"}
    said = {"repo": wish["repo"], "name": wish["name"], "changes": [change]}
    body = json.dumps(said).encode()
    signed = f"{identity}.{moment}.".encode() + body
    digest = hmac.new(bytes.fromhex(wish["key"]), signed, hashlib.sha256).digest()
    head = (
        f"POST {wish['path']} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nwebhook-id: {identity}\r\nwebhook-timestamp: {moment}\r\n"
        f"webhook-signature: v1,{base64.b64encode(digest).decode()}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    asyncio.run(main())
