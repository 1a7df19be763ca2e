"""The image's cache: private, whole files only, one builder at a time."""

import os
import threading

import pytest

from ci_host.adapters.wasm import config, image
from ci_host.adapters.wasm.image import ImageUnavailable


def test_a_directory_that_others_may_write_to_is_refused(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    cache.chmod(0o777)
    with pytest.raises(ImageUnavailable, match="chmod 700"):
        image.provide(cache, config.engine(), lambda _: None)


def test_a_new_directory_is_private(tmp_path):
    image._make_private(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_file_appears_whole_and_leaves_nothing_else(tmp_path):
    image._put(tmp_path / "x", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"content"


def test_two_builders_of_one_file_take_turns(tmp_path):
    target, inside, most = tmp_path / "x", [], []
    gate = threading.Barrier(4)

    def build():
        gate.wait()
        with image._alone(target):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_the_image_holds_the_guest_and_the_sdk_and_nothing_of_the_host():
    places = [place for _, place in image._sources()]
    assert "pipelines/guest/driver.py" in places
    assert "staunch/step.py" in places
    assert not [place for place in places if place.startswith("ci_host")]
    assert len(image._sources_digest()) == 32


def test_a_wasm_that_is_none_says_what_to_do(tmp_path):
    broken = tmp_path / "guest.wasm"
    broken.write_bytes(b"nothing")
    with pytest.raises(ImageUnavailable, match="delete it"):
        image.compiled(tmp_path, broken, "0" * 64, config.engine(), lambda _: None)
    assert not list(tmp_path.glob("*.cwasm"))


def test_an_image_that_was_never_built_here_cannot_be_made_up(tmp_path):
    with pytest.raises(ImageUnavailable, match="copy guest-000"):
        image.of_digest(tmp_path / "c", "0" * 64, config.engine(), lambda _: None)


@pytest.mark.sandbox
def test_a_second_start_finds_everything_in_the_cache(wasm_image):
    said = []
    cache = wasm_image.files.wasm.parent
    again = image.provide(cache, config.engine(), said.append)
    assert again == wasm_image.files
    assert image.of_digest(cache, again.digest, config.engine(), said.append) == again
    assert said == []
    assert os.stat(again.compiled).st_mode & 0o077 == 0
