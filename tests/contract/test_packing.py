"""What is packed and unpacked is the same; and whatever lies there leads nobody elsewhere."""

import asyncio
import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.manifest import (
    CHUNK_BYTES,
    PIECES,
    BadManifest,
    File,
    Folder,
    Link,
    Manifest,
    blob_path,
)
from runners.blobs import Blobs
from runners.packing import pack
from runners.ports import Missing, Unavailable
from runners.unpacking import Owner, unpack

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs("memory:///" if request.param == "memory" else f"file://{tmp_path}/kept")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def facts_of(root: Path) -> dict[str, object]:
    """Everything below, as far as it is kept."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name, mode = str(path.relative_to(root)), path.lstat().st_mode
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (bool(mode & stat.S_IXUSR), path.read_bytes())
    return found


NAMES = st.text("abcé ", min_size=1, max_size=3).filter(lambda name: name.strip() == name)
TREES = st.recursive(
    st.one_of(st.binary(max_size=20), st.tuples(NAMES), st.booleans()),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def build(root: Path, tree: object) -> None:
    """A folder is a dict, a link a tuple, an executable file True, any other file its bytes."""
    match tree:
        case dict():
            root.mkdir(exist_ok=True)
            for name, below in tree.items():
                build(root / name, below)
        case (str(target),):
            root.symlink_to(target)
        case bytes():
            root.write_bytes(tree)
        case _:
            root.touch(0o755 if tree else 0o644)


@given(st.dictionaries(NAMES, TREES, max_size=5))
@example({"aa": {"a": b"\x01"}, "a": {"a": b"\x00"}})
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_tree_is_the_same_after_packing_and_unpacking(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    base = tmp_path_factory.mktemp("tree")
    source, target = base / "source", base / "target"
    build(source, tree)
    target.mkdir()

    async def there_and_back() -> None:
        store = Blobs("memory:///")
        packed = await pack(source, ["*"], store)
        await unpack(packed.manifest, target, store)
        assert (await pack(target, ["*"], store)).stored == 0

    asyncio.run(there_and_back())
    assert facts_of(target) == facts_of(source)


async def test_large_files_come_back_whole(store: Blobs, source: Path, target: Path) -> None:
    sizes = [CHUNK_BYTES - 1, CHUNK_BYTES, 9 * CHUNK_BYTES + 7]
    for number, size in enumerate(sizes):
        (source / str(number)).write_bytes(os.urandom(size))
    packed = await pack(source, ["*"], store)
    assert packed.stored == packed.manifest.size == sum(sizes)
    await unpack(packed.manifest, target, store)
    assert facts_of(target) == facts_of(source)


async def test_a_large_file_that_is_there_twice_is_kept_once(store: Blobs, source: Path) -> None:
    content = os.urandom(CHUNK_BYTES + 100)
    for name in ("a", "b"):
        (source / name).write_bytes(content)
    assert (await pack(source, ["*"], store)).stored == len(content)
    (source / "c").write_bytes(content[:100_000])
    again = await pack(source, ["*"], store)
    assert (again.stored, again.manifest.size) == (100_000, 2 * len(content) + 100_000)


async def test_one_small_file_more_among_many_costs_little_more(
    store: Blobs, source: Path, target: Path
) -> None:
    for number in range(2000):
        (source / f"{number:04}").write_bytes(os.urandom(100))
    assert (await pack(source, ["*"], store)).stored == 200_000
    (source / "0007-b").write_bytes(b"one more")
    again = await pack(source, ["*"], store)
    assert again.stored < 100_000
    await unpack(again.manifest, target, store)
    assert facts_of(target) == facts_of(source)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["dist"], ["dist", "dist/app", "dist/lib", "dist/lib/x.map", "dist/lib/x.so"]),
        (["./dist/lib/*.so"], ["dist", "dist/lib", "dist/lib/x.so"]),
        (["**/*.xml"], ["build", "build/dist", "build/dist/t.xml", "t.xml"]),
        (["*.xml"], ["t.xml"]),
        (["dist", "!dist/lib/*.map"], ["dist", "dist/app", "dist/lib", "dist/lib/x.so"]),
        (["nothing/here"], []),
    ],
)
async def test_patterns_are_read_from_the_root_on(
    source: Path, patterns: list[str], expected: list[str]
) -> None:
    for name in ("dist/app", "dist/lib/x.so", "dist/lib/x.map", "build/dist/t.xml", "t.xml"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    packed = await pack(source, patterns, Blobs("memory:///"))
    assert [entry.path for entry in packed.manifest.entries] == expected


async def test_nothing_that_a_job_left_is_followed_or_waited_for(source: Path) -> None:
    secret = source.parent / "secret"
    secret.mkdir()
    (secret / "key").write_text("the host's")
    (source / "out").symlink_to(secret)
    (source / "key").symlink_to(secret / "key")
    os.mkfifo(source / "pipe")
    (source / "file").write_text("mine")
    packed = await pack(source, ["*"], Blobs("memory:///"))
    assert packed.manifest.entries == [
        File(path="file", size=4, chunks=[hashlib.sha256(b"mine").hexdigest()]),
        Link(path="key", target=str(secret / "key")),
        Link(path="out", target=str(secret)),
    ]


async def test_a_name_that_is_no_text_is_refused_by_name(source: Path) -> None:
    (source / os.fsdecode(b"a\xff")).touch()
    with pytest.raises(BadManifest, match="has a name that is no UTF-8"):
        await pack(source, ["*"], Blobs("memory:///"))


async def test_a_chain_of_folders_without_end_is_refused(source: Path) -> None:
    here = os.open(source, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(BadManifest, match="has too many levels"):
        await pack(source, ["*"], Blobs("memory:///"))
    await asyncio.to_thread(subprocess.run, ["rm", "-rf", source], check=True)


async def test_a_tree_cannot_be_led_elsewhere_by_links_that_came_before(target: Path) -> None:
    outside = target.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    store = Blobs("memory:///")
    await store.put(hashlib.sha256(b"new").hexdigest(), b"new")
    links = Manifest(
        entries=[Link(path="a", target=str(outside)), Link(path="b", target=str(outside / "file"))]
    )
    await unpack(links, target, store)
    new = File(path="a/file", size=3, chunks=[hashlib.sha256(b"new").hexdigest()])
    with pytest.raises(BadManifest, match="'a' is to be a folder, and something else is there"):
        await unpack(Manifest(entries=[Folder(path="a"), new]), target, store)
    over = File(path="b", size=3, chunks=new.chunks)
    await unpack(Manifest(entries=[over]), target, store)
    assert (outside / "file").read_text() == "untouched"
    assert (target / "b").read_text() == "new"
    assert not (target / "b").is_symlink()


async def test_a_manifest_that_is_no_tree_makes_nothing(target: Path) -> None:
    with pytest.raises(BadManifest):
        await unpack(
            Manifest(entries=[Folder(path="a"), Folder(path="../b")]), target, Blobs("memory:///")
        )
    assert facts_of(target) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_files_belong_to_whom_they_are_made_for(source: Path, target: Path) -> None:
    build(source, {"d": {"f": b"x", "l": ("f",)}})
    store = Blobs("memory:///")
    packed = await pack(source, ["*"], store)
    await unpack(packed.manifest, target, store, Owner(uid=64_001, gid=64_000))
    owners = {(p.lstat().st_uid, p.lstat().st_gid) for p in target.rglob("*")}
    assert owners == {(64_001, 64_000)}


async def test_bytes_that_are_gone_or_damaged_are_named(
    tmp_path: Path, source: Path, target: Path
) -> None:
    store = Blobs(f"file://{tmp_path}/kept")
    (source / "a").write_bytes(b"once")
    packed = await pack(source, ["a"], store)
    kept = tmp_path / "kept" / blob_path(hashlib.sha256(b"once").hexdigest(), PIECES)
    kept.write_bytes(b"0nce")
    with pytest.raises(Missing, match="is damaged"):
        await unpack(packed.manifest, target, store)
    kept.unlink()
    with pytest.raises(Missing, match="is not in file://"):
        await unpack(packed.manifest, target, store)


def test_an_address_that_is_no_store_is_refused() -> None:
    with pytest.raises(Unavailable, match="ftp://nowhere"):
        Blobs("ftp://nowhere")
