"""A list of files is either one tree below one folder, or it is refused by the entry's name."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import manifest
from pipelines.manifest import BadManifest, File, Folder, Link, Manifest, check, decode, encode

DIGEST = "0" * 64

LETTERS = st.characters(exclude_characters="/\x00", exclude_categories=["Cs"])
NAMES = st.text(LETTERS, min_size=1, max_size=40)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4)


@st.composite
def trees(draw: st.DrawFn) -> Manifest:
    """A tree of files at random places, none of which is below another."""
    paths = {"/".join(parts) for parts in draw(st.lists(PATHS, max_size=12))}
    leaves = [p for p in paths if not any(other.startswith(f"{p}/") for other in paths)]
    entries: list[manifest.Entry] = []
    for path in leaves:
        kind = draw(st.sampled_from(["file", "link", "folder"]))
        size = draw(st.sampled_from([0, 1, manifest.CHUNK_BYTES, manifest.CHUNK_BYTES + 1]))
        chunks = [DIGEST] * len(manifest.chunk_sizes(size))
        made: dict[str, manifest.Entry] = {
            "file": File(path=path, size=size, chunks=chunks, executable=draw(st.booleans())),
            "link": Link(path=path, target=draw(NAMES)),
            "folder": Folder(path=path),
        }
        entries.append(made[kind])
    return manifest.manifest_of(draw(st.permutations(entries)))


@given(trees())
def test_a_list_that_was_written_is_read_as_it_was(tree: Manifest) -> None:
    assert decode(encode(tree)) == tree


@given(trees())
def test_a_folder_comes_before_all_that_is_in_it(tree: Manifest) -> None:
    made: set[str] = {""}
    for entry in tree.entries:
        assert entry.path.rpartition("/")[0] in made
        if isinstance(entry, Folder):
            made.add(entry.path)


@given(trees(), st.randoms(use_true_random=False))
def test_the_order_in_which_files_were_found_does_not_matter(
    tree: Manifest, random: Random
) -> None:
    shuffled = list(tree.entries)
    random.shuffle(shuffled)
    assert encode(manifest.manifest_of(shuffled)) == encode(tree)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\x00b",
        "n" * 256,
        "a/" * 2047 + "abc",
    ],
)
def test_a_path_that_is_not_plainly_below_the_folder_is_refused(path: str) -> None:
    with pytest.raises(BadManifest):
        check([Folder(path="a"), File(path=path, size=0, chunks=[])])


def test_a_file_below_a_link_is_refused() -> None:
    with pytest.raises(BadManifest, match="'a/b' comes before its folder, or that is none"):
        check([Link(path="a", target="/etc"), File(path="a/b", size=0, chunks=[])])
    with pytest.raises(BadManifest, match="'a/b'"):
        manifest.manifest_of([Link(path="a", target="/etc"), File(path="a/b", size=0, chunks=[])])


@pytest.mark.parametrize(
    "second", [File(path="a", size=0, chunks=[]), Link(path="a", target="b"), Folder(path="a")]
)
def test_a_name_that_is_there_twice_is_refused(second: manifest.Entry) -> None:
    with pytest.raises(BadManifest, match="'a' is there twice"):
        check([Folder(path="a"), second])


@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        (0, [DIGEST]),
        (1, []),
        (-1, []),
        (manifest.CHUNK_BYTES + 1, [DIGEST]),
        (1, ["../../x"]),
        (1, ["A" * 64]),
    ],
)
def test_pieces_that_cannot_make_the_size_are_refused(size: int, chunks: list[str]) -> None:
    with pytest.raises(BadManifest, match="'a'"):
        check([File(path="a", size=size, chunks=chunks)])


@pytest.mark.parametrize(
    ("size", "offset"),
    [
        *((1, -1), (1, manifest.CHUNK_BYTES), (2, manifest.CHUNK_BYTES - 1)),
        (manifest.SMALL_BYTES + 1, 1),
    ],
)
def test_a_file_that_would_reach_over_its_piece_is_refused(size: int, offset: int) -> None:
    check([File(path="a", size=1, chunks=[DIGEST], offset=manifest.CHUNK_BYTES - 1)])
    with pytest.raises(BadManifest, match="cannot be in a piece"):
        check([File(path="a", size=size, chunks=[DIGEST], offset=offset)])


@pytest.mark.parametrize("target", ["", "a\x00b", "n" * 4097, "\ud800"])
def test_a_target_that_no_link_can_have_is_refused(target: str) -> None:
    with pytest.raises(BadManifest):
        check([Link(path="a", target=target)])


def test_more_than_is_kept_is_refused() -> None:
    size = manifest.TREE_BYTES_MAX // 2 + 1
    big = [DIGEST] * len(manifest.chunk_sizes(size))
    with pytest.raises(BadManifest, match="at most 10737418240"):
        check([File(path=name, size=size, chunks=big) for name in "ab"])
    with pytest.raises(BadManifest, match="at most 200000"):
        check([Folder(path=f"{n}") for n in range(manifest.ENTRIES_MAX + 1)])
    with pytest.raises(BadManifest, match="at most 67108864"):
        decode(b" " * (manifest.MANIFEST_BYTES_MAX + 1))


@given(st.binary(max_size=200))
def test_what_is_no_list_is_refused_and_nothing_else_happens(content: bytes) -> None:
    with pytest.raises(BadManifest):
        decode(content)


@pytest.mark.parametrize(
    "content",
    ['{"entries":[{"type":"device","path":"a"}]}', '{"entries":[{"path":"a"}]}', "[" * 9999],
)
def test_an_entry_of_no_known_kind_is_refused(content: str) -> None:
    with pytest.raises(BadManifest):
        decode(content.encode())
