import os
import time

import pytest

from ci_host.adapters.git.bundle import DEPTH_MAX, read_bundle
from ci_host.adapters.git.errors import BundleRefused, CommitGone, NoPipeline
from pipelines.bundle import BUNDLE_BYTES_MAX, FILE_BYTES_MAX, FILES_MAX

CODE = "async def run(event, step): ...\n"


def check(world, files):
    """What is read of a commit with these files."""
    return world.read(world.commit(files))


def refuse(world, match, files=None):
    with pytest.raises(BundleRefused, match=match) as caught:
        check(world, files)
    return str(caught.value)


def test_a_folder_is_read_with_everything_below_it_and_nothing_beside_it(world):
    files = {
        ".staunch/pipeline.py": CODE,
        ".staunch/shared/words.py": "WORD = 'gate ü'\r\n",
        ".staunch/data.json": "{}",
    }
    assert check(world, {**files, "secret.py": "x", "src/.staunch/other.py": "x"}) == files


def test_a_single_file_is_enough_and_a_folder_goes_before_it(world):
    assert check(world, {".staunch.py": CODE}) == {".staunch.py": CODE}
    assert check(world, {".staunch/a.py": CODE}) == {".staunch/a.py": CODE}


def test_files_that_are_no_text_by_their_name_are_left_out(world):
    files = {".staunch/a.py": CODE, ".staunch/logo.png": b"\x89PNG\xff", ".staunch/big.bin": b"x"}
    assert list(check(world, files)) == [".staunch/a.py"]


def test_without_pipeline_files_the_error_says_what_to_add(world):
    for files in ({"a": "1"}, {".staunch/logo.png": "x"}):
        with pytest.raises(NoPipeline, match=r"add \.staunch/pipeline\.py"):
            check(world, files)


def test_a_commit_that_was_not_fetched_is_told_apart_from_an_empty_one(world):
    world.read(world.commit({".staunch.py": CODE}))
    with pytest.raises(CommitGone, match="fetch it first"):
        read_bundle(world.mirror, "a" * 40)


def link(world, name, target):
    path = world.work / name
    path.parent.mkdir(exist_ok=True)
    os.symlink(target, path)


@pytest.mark.parametrize("name", [".staunch/pipeline.py", ".staunch.py", ".staunch/notes"])
def test_a_symbolic_link_is_refused_and_not_followed(world, name):
    link(world, name, "/etc/passwd")
    message = refuse(world, "is a symbolic link")
    assert name in message and "root:" not in message


def test_a_folder_that_is_a_link_is_refused(world):
    link(world, ".staunch", "elsewhere")
    refuse(world, r"\.staunch is a symbolic link", {"elsewhere/pipeline.py": CODE})


def test_a_folder_that_is_a_file_is_refused(world):
    refuse(world, "must be a folder", {".staunch": CODE})


def test_a_submodule_is_refused(world):
    world.commit({".staunch/pipeline.py": CODE})
    cacheinfo = f"160000,{'a' * 40},.staunch/lib"
    world.git("update-index", "--add", "--cacheinfo", cacheinfo)
    world.git("commit", "-q", "-m", "submodule")
    with pytest.raises(BundleRefused, match=r"\.staunch/lib is a submodule"):
        world.read(world.push())


def test_a_file_may_have_its_limit_and_no_byte_more(world):
    fits = "#" * FILE_BYTES_MAX
    assert check(world, {".staunch/a.py": fits}) == {".staunch/a.py": fits}
    refuse(world, rf"\.staunch/a\.py has {FILE_BYTES_MAX + 1} bytes", {".staunch/a.py": fits + "#"})
    refuse(world, r"\.staunch/a\.py has 3000000 bytes", {".staunch/a.py": "#" * 3_000_000})


def test_there_may_be_as_many_files_as_the_limit_says(world):
    files = {f".staunch/f{n}.py": "#" for n in range(FILES_MAX)}
    assert len(check(world, files)) == FILES_MAX
    refuse(world, f"holds {FILES_MAX + 1} files; at most {FILES_MAX}", {".staunch/more.py": "#"})


def test_all_files_together_have_a_limit_too(world):
    size = BUNDLE_BYTES_MAX // 4
    files = {f".staunch/f{n}.py": "#" * size for n in range(4)}
    assert len(check(world, files)) == 4
    refuse(world, f"have {BUNDLE_BYTES_MAX + 1} bytes together", {".staunch/more.py": "#"})


def test_folders_may_be_nested_only_so_deep(world):
    deepest = ".staunch/" + "d/" * DEPTH_MAX + "a.py"
    assert check(world, {deepest: CODE}) == {deepest: CODE}
    refuse(world, "deep", {".staunch/" + "d/" * (DEPTH_MAX + 1) + "a.py": CODE})


def test_text_that_is_not_utf8_is_refused_with_its_place(world):
    refuse(world, r"\.staunch/a\.py is not UTF-8 text \(byte 2\)", {".staunch/a.py": b"# \xe9\xff"})


def test_a_file_name_that_is_not_utf8_is_refused_in_the_folder_and_ignored_beside_it(world):
    world.commit({".staunch/a.py": CODE})
    (world.work / os.fsdecode(b"b\xff.txt")).write_text("x")
    assert list(check(world, {})) == [".staunch/a.py"]
    (world.work / ".staunch" / os.fsdecode(b"b\xff.py")).write_text("x")
    refuse(world, "file names must be UTF-8")


def test_a_file_name_of_control_characters_is_refused(world):
    refuse(world, "cannot be a file's name", {".staunch/a\nb.py": CODE})


def test_hostile_attributes_modules_and_hooks_do_nothing(world):
    marks = world.folder / "marks"
    marks.mkdir()
    world.commit({".staunch/pipeline.py": "$Id$\r\n"})
    hostile = {
        ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::touch {marks}/module\n',
        ".gitconfig": f'[filter "evil"]\n\tsmudge = touch {marks}/smudge\n',
        ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:9/\n",
    }
    world.commit(hostile)
    # Never in the work tree of this test, whose own git would obey it.
    attributes = world.folder / "attributes"
    attributes.write_text("* ident filter=evil working-tree-encoding=UTF-16 text eol=lf\n")
    blob = world.git("hash-object", "-w", "--no-filters", str(attributes))
    world.git("update-index", "--add", "--cacheinfo", f"100644,{blob},.gitattributes")
    world.git("commit", "-q", "-m", "attributes")
    commit = world.push()
    hook = world.upstream / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {marks}/hook\n")
    hook.chmod(0o755)
    # Byte for byte as it was committed: nothing was expanded, converted or run.
    assert world.read(commit) == {".staunch/pipeline.py": "$Id$\r\n"}
    assert list(marks.iterdir()) == []


def test_an_object_of_the_wrong_kind_under_the_name_is_no_pipeline(world):
    commit = world.commit({".staunch.py/inner.py": CODE})
    with pytest.raises(NoPipeline):
        world.read(commit)


def test_a_warm_fetch_and_read_of_a_local_repository_is_quick(world):
    took = []
    for n in range(8):
        commit = world.commit({".staunch/pipeline.py": f"# {n}"})
        start = time.perf_counter()
        world.read(commit)
        took.append(time.perf_counter() - start)
    # 25 ms on an idle two-core machine; the bound is for a busy one.
    assert sorted(took[1:])[3] < 0.150
