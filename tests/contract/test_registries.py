"""Images from a registry: a real one, and some that mean ill."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest

from runners import fetching, registries
from runners.data_directory import DataDirectory
from runners.images import Images
from runners.ports import Refused
from tests.executor_bench import UID_BASE
from tests.oci import MACHINE, Maker, entry, layer, programs
from tests.registry import Registry, basic, certified, encoded, needs_registry, password_file
from tests.runner_world import make_spec, pids_with

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.bwrap, needs_registry]

GB = 1_073_741_824


@pytest.fixture
def registry(root):
    made = Registry(root / "registry").start()
    yield made
    made.close()


@pytest.fixture
def data(root):
    opened = DataDirectory(root / "data")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _tries_soon(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSES_S", (0.01, 0.02))


def images_of(data, *listed: str, credentials: Path | None = None) -> Images:
    return Images(
        data,
        None,
        uid_base=UID_BASE,
        bytes_max=GB,
        registries=[registries.parse(one) for one in listed],
        credentials=credentials,
    )


def layout(root: Path, *layers: bytes, name: str = "layout", **more) -> Path:
    Maker(root / name).image(*(layers or (layer(entry("told", b"fetched\n")),)), **more)
    return root / name


def told(ready) -> str:
    return (Path(ready.path) / "told").read_text()


async def test_a_job_runs_in_an_image_of_a_registry_by_digest(sandbox, data, root, registry):
    made = layout(root, programs(), layer(entry("told", b"fetched\n")), zipped=True)
    digest = registry.push(made, "team/app", "1")
    sandbox.images = images_of(data, registry.listed)
    image = f"{registry.name}/team/app@{digest}"
    record, log = await sandbox.run(make_spec(None, "cat /told", image=image))
    assert record["outcome"] == "succeeded", log
    assert "fetched\n" in log
    # Now it is there, and the registry is not needed any more.
    registry.stop()
    assert (await sandbox.images.ready(image)).image == image
    assert [path.name for path in (data.root / "images").iterdir()] == [digest[7:]]


async def test_a_tag_is_asked_for_each_time_and_the_digest_is_told(data, root, registry):
    images = images_of(data, registry.listed)
    first = registry.push(layout(root), "app", "1")
    name = f"{registry.name}/app"
    assert (await images.ready(f"{name}:1")).image == f"{name}@{first}"
    second = registry.push(layout(root, layer(entry("told", b"2\n")), name="other"), "app", "1")
    ready = await images.ready(f"{name}:1")
    assert (ready.image, told(ready)) == (f"{name}@{second}", "2\n")
    registry.push(root / "other", "app", "latest")
    assert (await images.ready(name)).image == f"{name}@{second}"


async def test_of_an_index_it_is_the_manifest_for_this_machine(data, root, registry):
    made = Maker(root / "layout")
    digest = made.image(layer(entry("told", b"mine\n")))
    [mine] = made.entries
    other = {**mine, "platform": {"architecture": "other", "os": "linux"}}
    fitting = {**mine, "platform": {"architecture": MACHINE, "os": "linux"}}
    kind = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": [other, fitting]}
    top = {"mediaType": kind, **made.blob(json.dumps(index).encode())}
    (made.path / "index.json").write_text(json.dumps({"manifests": [mine, top]}))
    asked = registry.push(made.path, "app", "1")
    name = f"{registry.name}/app"
    images = images_of(data, registry.listed)
    assert asked == top["digest"] != digest
    assert (await images.ready(f"{name}@{asked}")).image == f"{name}@{digest}"
    registry.stop()
    assert (await images_of(data, registry.listed).ready(f"{name}@{asked}")).image.endswith(digest)


async def test_it_is_fetched_once_however_many_want_it(data, root, registry):
    registry.push(layout(root), "app", "1")
    images = images_of(data, registry.listed)
    ready = await asyncio.gather(*(images.ready(f"{registry.name}/app:1") for _ in range(5)))
    assert len({one.path for one in ready}) == 1
    assert [path.name[0] for path in (data.root / "images").iterdir()] != ["."]


async def refused(images: Images, reference: str) -> str:
    with pytest.raises(Refused) as caught:
        await images.ready(reference)
    # Nothing is left of it.
    assert list((images._folder).iterdir()) == []
    return str(caught.value)


async def test_what_the_registry_does_not_have_is_told(data, root, registry):
    registry.push(layout(root), "app", "1")
    images = images_of(data, registry.listed)
    assert f"{registry.name} has no such image" in await refused(images, f"{registry.name}/app:2")
    assert "has no such image" in await refused(images, f"{registry.name}/other")
    missing = f"{registry.name}/app@sha256:{'0' * 64}"
    assert "has no such image" in await refused(images, missing)


async def test_a_registry_that_is_not_listed_is_not_asked(data, registry):
    images = images_of(data, "ghcr.io")
    said = await refused(images, f"{registry.name}/app")
    assert "fetches images from ghcr.io only (--registry)" in said
    assert "fetches images from ghcr.io only" in await refused(images, "python:3.13")


async def test_one_without_tls_must_be_listed_so(data, root, registry):
    registry.push(layout(root), "app", "1")
    said = await refused(images_of(data, registry.name), f"{registry.name}/app:1")
    assert f"{registry.name} cannot be reached" in said


async def test_a_registry_that_is_away_is_tried_again_and_then_the_job_is_refused(
    data, root, registry
):
    registry.push(layout(root), "app", "1")
    registry.stop()
    images = images_of(data, registry.listed)
    said = await refused(images, f"{registry.name}/app:1")
    assert f"{registry.name} cannot be reached" in said
    assert said.endswith("(tried 3 times)")
    registry.start()
    assert told(await images.ready(f"{registry.name}/app:1")) == "fetched\n"


async def test_a_password_is_given_to_the_registry_that_it_is_for(data, root):
    closed = Registry(root / "closed", auth=password_file(root)).start()
    try:
        closed.push(layout(root), "app", "1", basic())
        name, file = f"{closed.name}/app:1", root / "config.json"
        said = await refused(images_of(data, closed.listed), name)
        assert f"{closed.name} wants some for app" in said
        assert "--registry-auth" in said
        file.write_text(json.dumps({"auths": {closed.name: {"auth": encoded(password="no")}}}))
        said = await refused(images_of(data, closed.listed, credentials=file), name)
        assert "refuses the credentials that it was given" in said
        file.write_text("{")
        said = await refused(images_of(data, closed.listed, credentials=file), name)
        assert "another form than Docker's" in said
        file.write_text(json.dumps({"auths": {closed.name: {"auth": encoded()}}}))
        file.chmod(0o600)
        images = images_of(data, closed.listed, credentials=file)
        assert told(await images.ready(name)) == "fetched\n"
    finally:
        closed.close()


@pytest.mark.parametrize("spoiled", ["layer", "manifest"])
async def test_what_is_not_what_its_digest_says_is_refused(data, root, registry, spoiled):
    digest = registry.push(layout(root), "app", "1")
    manifest = json.loads((root / "layout/blobs/sha256" / digest[7:]).read_text())
    name = digest if spoiled == "manifest" else manifest["layers"][0]["digest"]
    path = registry.store / f"docker/registry/v2/blobs/sha256/{name[7:9]}/{name[7:]}/data"
    path.write_bytes(path.read_bytes().replace(b"fetched", b"changed").replace(b"2,", b"2 ,"))
    said = await refused(images_of(data, registry.listed), f"{registry.name}/app@{digest}")
    assert "digest" in said or "is not what its name says" in said or "answers 500" in said


async def test_whoever_fetches_has_no_rights_of_the_machines_root(data, root, registry):
    if os.geteuid() != 0:
        pytest.skip("it is nobody special")
    big = layer(entry("big", os.urandom(80_000_000)))
    registry.push(layout(root, big), "app", "1")
    asked = asyncio.create_task(images_of(data, registry.listed).ready(f"{registry.name}/app:1"))
    seen = set()
    while not asked.done():
        for pid in pids_with("runners.registry_fetch"):
            with contextlib.suppress(FileNotFoundError):
                seen.add(os.stat(f"/proc/{pid}").st_uid)
        await asyncio.sleep(0.005)
    await asked
    assert UID_BASE - 1 in seen


async def test_over_tls_it_must_be_who_it_says_it_is(data, root, monkeypatch):
    certificate, key = certified(root, "127.0.0.1")
    http = f"http: {{addr: '%s', tls: {{certificate: {certificate}, key: {key}}}}}"
    made = Registry(root / "registry").start()
    made.push(layout(root), "app", "1")
    made.stop()
    config = root / "registry" / "registry.yml"
    config.write_text(
        config.read_text().replace(f"http: {{addr: '{made.name}'}}", http % made.name)
    )
    made.start()
    try:
        said = await refused(images_of(data, made.name), f"{made.name}/app:1")
        assert "certificate verify failed" in said
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        images = images_of(data, made.name)
        assert told(await images.ready(f"{made.name}/app:1")) == "fetched\n"
    finally:
        made.close()
