"""Registries that mean ill, or are not well: what is followed, what is believed, what is given."""

import itertools
import json
from pathlib import Path

import pytest

from runners import fetching, registries
from runners.data_directory import DataDirectory
from runners.images import Images
from runners.ports import Refused
from tests.executor_bench import UID_BASE
from tests.ill_registry import IllRegistry
from tests.oci import MANIFEST, Maker, entry, layer
from tests.registry import USER, encoded

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

GB = 1_073_741_824


class World:
    """Servers, a good image, and a runner that lists some of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        made = Maker(root / "layout")
        self.digest = made.image(layer(entry("told", b"fetched\n")))
        self.blobs = root / "layout" / "blobs" / "sha256"
        self.servers: list[IllRegistry] = []
        self.data = DataDirectory(root / "data")

    def server(self, answer) -> IllRegistry:
        self.servers.append(IllRegistry(answer))
        return self.servers[-1]

    def good(self, path: str, _headers):
        """As a registry answers."""
        name = path.rpartition("/")[2]
        name = self.digest if name in ("1", "latest") else name
        blob = self.blobs / name.removeprefix("sha256:")
        if not blob.is_file():
            return 404, {}, b""
        kind = MANIFEST if "/manifests/" in path else "application/octet-stream"
        return 200, {"Content-Type": kind}, blob.read_bytes()

    async def ready(self, name: str, *listed: str, credentials: Path | None = None):
        images = Images(
            self.data,
            None,
            uid_base=UID_BASE,
            bytes_max=GB,
            registries=[registries.parse(one) for one in listed],
            credentials=credentials,
        )
        return await images.ready(f"{name}/app:1")

    async def refused(self, answer, *more: str) -> str:
        server = self.server(answer)
        with pytest.raises(Refused) as caught:
            await self.ready(server.name, server.listed, *more)
        return str(caught.value)


@pytest.fixture
def world(root, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSES_S", (0.01, 0.02))
    made = World(root)
    yield made
    for server in made.servers:
        server.close()
    made.data.close()


LEADS = [
    ("http://169.254.169.254/latest/meta-data", "which does not speak TLS"),
    ("https://169.254.169.254/latest", "which is not on the internet"),
    ("https://10.0.0.1/x", "which is not on the internet"),
    ("https://[::1]:4222/x", "which is not on the internet"),
    ("https://localhost:1/x", "which is not on the internet"),
    ("https://2130706433/x", "which is not on the internet"),
    ("file:///etc/shadow", "which does not speak TLS"),
    ("https://a:b:c/", "which is no address"),
]


@pytest.mark.parametrize(("where", "said"), LEADS)
@pytest.mark.parametrize("at", ["manifests", "blobs"])
async def test_nobody_is_led_to_the_machine_or_its_network(world, where, said, at):
    def answer(path, headers):
        return (307, {"Location": where}, b"") if at in path else world.good(path, headers)

    assert said in await world.refused(answer)


@pytest.mark.parametrize(("where", "said"), LEADS)
async def test_no_token_is_asked_for_there_either(world, where, said):
    challenge = {"WWW-Authenticate": f'Bearer realm="{where}",service="s"'}
    assert said in await world.refused(lambda *_: (401, challenge, b""))


async def test_redirects_have_an_end(world):
    def answer(path, _headers):
        return 302, {"Location": f"{path}x"}, b""

    assert "leads through more than 5 redirects" in await world.refused(answer)


async def test_another_registry_of_the_list_may_be_led_to_and_gets_no_authority(world):
    def answer(path, headers):
        if path.startswith("/token"):
            is_right = headers["Authorization"] == f"Basic {encoded()}"
            return (200, {}, b'{"token": "t0k3n"}') if is_right else (401, {}, b"")
        if headers["Authorization"] != "Bearer t0k3n":
            realm = f'Bearer realm="{front.listed}/token",service="here"'
            return 401, {"WWW-Authenticate": realm}, b""
        if "/blobs/" in path:
            return 307, {"Location": f"{back.listed}{path}"}, b""
        return world.good(path, headers)

    back, front = world.server(world.good), world.server(answer)
    file = world.root / "config.json"
    file.write_text(json.dumps({"auths": {front.name: {"username": USER, "password": "hunter2"}}}))
    ready = await world.ready(front.name, front.listed, back.listed, credentials=file)
    assert (Path(ready.path) / "told").read_text() == "fetched\n"
    [asked] = {path for path, _ in front.asked if path.startswith("/token")}
    assert asked == "/token?service=here&scope=repository%3Aapp%3Apull"
    assert len(back.asked) == 2
    assert not any("Authorization" in headers for _, headers in back.asked)


async def test_a_registry_that_never_has_enough_is_given_up(world):
    challenge = {"WWW-Authenticate": "Basic realm=x"}
    assert "wants some for app" in await world.refused(lambda *_: (401, challenge, b""))

    def answer(path, headers):
        if path.startswith("/token"):
            return 200, {}, b'{"token": "t"}'
        realm = f'Bearer realm="http://{headers["Host"]}/token"'
        return 401, {"WWW-Authenticate": realm}, b""

    assert "wants some for app" in await world.refused(answer)


async def test_what_has_no_end_is_cut_off(world):
    def endless(*_):
        return 200, {"Content-Type": MANIFEST}, itertools.repeat(b"x" * 65_536)

    assert "has more than 4,194,304 bytes" in await world.refused(endless)

    def answer(path, headers):
        return endless() if "/blobs/" in path else world.good(path, headers)

    assert "is not what its name says" in await world.refused(answer)


async def test_a_blob_that_is_another_is_refused(world):
    def answer(path, headers):
        status, kind, content = world.good(path, headers)
        return status, kind, content.swapcase() if "/blobs/" in path else content

    assert "is not what its name says" in await world.refused(answer)


async def test_layers_that_are_too_much_are_not_even_begun(world):
    def answer(path, headers):
        status, kind, content = world.good(path, headers)
        if "/manifests/" in path:
            told = json.loads(content)
            told["layers"][0]["size"] = 2**40
            content = json.dumps(told).encode()
        return status, kind, content

    assert "21,474,836,480 are allowed" in await world.refused(answer)


async def test_what_breaks_off_or_is_busy_is_tried_again(world):
    times = itertools.count()

    def answer(path, headers):
        number = next(times)
        if number == 0:
            return 503, {}, b"later"
        status, kind, content = world.good(path, headers)
        if number == 2:
            return status, {**kind, "Content-Length": str(len(content))}, content[:5]
        return status, kind, content

    server = world.server(answer)
    ready = await world.ready(server.name, server.listed)
    assert (Path(ready.path) / "told").read_text() == "fetched\n"


async def test_one_that_stays_busy_is_refused_after_some_tries(world):
    said = await world.refused(lambda *_: (503, {}, b""))
    assert said.endswith("answers 503 (tried 3 times)")
    assert len(world.servers[0].asked) == 3


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"manifests": 3}', b'{"layers": [3]}'])
async def test_what_is_no_manifest_is_refused(world, content):
    said = await world.refused(lambda *_: (200, {"Content-Type": MANIFEST}, content))
    assert "cannot be used: " in said
    assert "ended with" not in said
