"""A root file system out of the layers of an image: the process that reads what strangers packed.

Here: `unpack`, and the process around it, which gives up its rights and limits itself first. What
is made: folders, files, links. Devices, pipes and sockets are left out, set-user bits dropped, and
the group gets the rights of the owner, since every slot's user is in it. A name is looked up from
the root of the tree, through its links, as a program in it would: no `..` and no link leads out.
Nothing else writes to the tree meanwhile. Standard library only.
"""

import gzip
import os
import shutil
import stat
import tarfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from runners import layouts, spawn
from runners.layouts import BadImage, Layout

BYTES_MAX = 21_474_836_480
ENTRIES_MAX = 1_000_000
# The group is that of all slots: whoever has the image may write to a layer above it.
FOLDER_MODE = 0o775
LINKS_MAX = 40
PATH_CHARS_MAX = 4_096
MEMORY_BYTES_MAX = 2_147_483_648
CPU_S_MAX = 3_600
COPY_BYTES = 1_048_576
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
PLAIN = ("application/vnd.oci.image.layer.v1.tar",)
GZIPPED = (
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)
# Where a sandbox mounts something: folders of the image's own, never links.
PLACES = (
    "proc", "dev", "tmp", "home/job", "var/tmp", "run/staunch", "run/handed", "workspace",
    "source.git", "volumes", "etc",
)  # fmt: skip


class _Tree:
    """The tree that is made, and how much of it there is."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.abspath(root)
        self.entries = 0
        self.bytes = 0
        self._made: set[str] = set()

    def begin_layer(self) -> None:
        """What is made from now on, the layer's own whiteouts do not remove."""
        self._made = set()

    def add(self, member: tarfile.TarInfo, content: BinaryIO | None) -> None:
        """One entry. Raises BadImage."""
        self.entries += 1
        if self.entries > ENTRIES_MAX:
            raise BadImage(f"it has more than {ENTRIES_MAX:,} entries")
        parts = _parts(member.name)
        if not parts:
            return
        parent = self._folder("/".join(parts[:-1]))
        name = parts[-1]
        if name == OPAQUE:
            self._clear(parent)
        elif name.startswith(WHITEOUT):
            self._remove(os.path.join(parent, name.removeprefix(WHITEOUT)), name)
        else:
            self._make(member, os.path.join(parent, name), content)

    def _make(self, member: tarfile.TarInfo, path: str, content: BinaryIO | None) -> None:
        mode = _mode(member.mode)
        is_folder = os.path.isdir(path) and not os.path.islink(path)
        if member.isdir():
            if not is_folder:
                self._give_way(path)
                os.mkdir(path)
            os.chmod(path, mode | FOLDER_MODE & 0o770)
        elif member.issym():
            self._give_way(path)
            os.symlink(member.linkname, path)
        elif member.islnk():
            self._link(member.linkname, path)
        elif member.isreg() and content is not None:
            self._give_way(path)
            self._write(path, mode | 0o660, content)
        else:
            return
        self._made.add(path)

    def _link(self, target: str, path: str) -> None:
        parts = _parts(target)
        found = os.path.join(self._folder("/".join(parts[:-1])), parts[-1]) if parts else self.root
        if os.path.islink(found) or not os.path.isfile(found):
            raise BadImage(f"{target[:200]!r} is linked to, and is no file of the image")
        if found != path:
            self._give_way(path)
            os.link(found, path, follow_symlinks=False)

    def _write(self, path: str, mode: int, content: BinaryIO) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        with open(descriptor, "wb") as file:
            while data := content.read(COPY_BYTES):
                self.bytes += len(data)
                if self.bytes > BYTES_MAX:
                    raise BadImage(f"it has more than {BYTES_MAX:,} bytes")
                file.write(data)
            os.fchmod(descriptor, mode)

    def _folder(self, path: str) -> str:
        """The folder that a path inside means; made where it is not there. Raises BadImage."""
        here: list[str] = []
        rest = [part for part in path.split("/") if part]
        links = 0
        while rest:
            part = rest.pop(0)
            if part == "..":
                # Above the root is the root.
                here = here[:-1]
                continue
            place = os.path.join(self.root, *here, part)
            if os.path.islink(place):
                links += 1
                if links > LINKS_MAX:
                    raise BadImage(f"{path[:200]!r} leads through too many links")
                target = os.readlink(place)
                here = [] if target.startswith("/") else here
                rest = [one for one in target.split("/") if one not in ("", ".")] + rest
                continue
            if not os.path.lexists(place):
                os.mkdir(place)
                os.chmod(place, FOLDER_MODE)
            elif not os.path.isdir(place):
                raise BadImage(f"{path[:200]!r} leads through a file")
            here.append(part)
        return os.path.join(self.root, *here)

    def _give_way(self, path: str) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def _remove(self, path: str, name: str) -> None:
        if os.path.basename(path) in ("", ".", ".."):
            raise BadImage(f"{name[:200]!r} removes what is no entry")
        if path not in self._made:
            self._give_way(path)

    def _clear(self, folder: str) -> None:
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if not any(made == path or made.startswith(path + "/") for made in self._made):
                self._give_way(path)

    def make_places(self) -> None:
        """Folders for what a sandbox mounts. Raises BadImage where something else is there."""
        for place in PLACES:
            here = self.root
            for part in place.split("/"):
                here = os.path.join(here, part)
                if not os.path.lexists(here):
                    os.mkdir(here)
                elif os.path.islink(here) or not os.path.isdir(here):
                    raise BadImage(f"its /{place} is no folder")
                os.chmod(here, stat.S_IMODE(os.lstat(here).st_mode) | FOLDER_MODE)
        for name in ("passwd", "group", "hosts", "gitconfig"):
            self._give_way(os.path.join(self.root, "etc", name))

    def volumes(self, wanted: list[str]) -> list[str]:
        """Of the folders that it leaves to be written, those with nothing in them; made if they are
        not there. Raises BadImage."""
        found = []
        for path in wanted:
            folder = self._folder(path)
            inside = folder.removeprefix(self.root.rstrip("/"))
            is_ours = any(f"/{place}/".startswith(f"{inside}/") for place in PLACES)
            is_theirs = inside.startswith(("/proc/", "/dev/", "/run/staunch/"))
            if not (is_ours or is_theirs) and not os.listdir(folder) and inside not in found:
                found.append(inside)
        return found


def unpack(layout: Layout, digest: str, root: Path) -> dict[str, Any]:
    """Make the tree of a manifest in an empty folder, and answer its configuration.

    Raises BadImage.
    """
    manifest = layout.document(digest)
    config = layout.document(str((manifest.get("config") or {}).get("digest")))
    tree = _Tree(root)
    for kind, layer in layouts.layers_of(manifest):
        if kind not in PLAIN + GZIPPED:
            raise BadImage(f"a layer of it is a {kind[:100]!r}; tar, or tar with gzip, can be read")
        layout.check(layer)
        tree.begin_layer()
        with layout.blob(layer) as blob:
            _apply(tree, blob, is_gzipped=kind in GZIPPED)
    tree.make_places()
    return {
        "env": layouts.environment_of(config),
        "entrypoint": layouts.words_of(config, "Entrypoint"),
        "command": layouts.words_of(config, "Cmd"),
        "cwd": layouts.folder_of(config),
        "volumes": tree.volumes(layouts.volumes_of(config)),
        "bytes": tree.bytes,
        "entries": tree.entries,
    }


def _apply(tree: _Tree, blob: BinaryIO, *, is_gzipped: bool) -> None:
    plain = gzip.GzipFile(fileobj=blob) if is_gzipped else blob
    try:
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                tree.add(member, content)  # type: ignore[arg-type]  # it reads, and no more is asked
                # It would keep every one that it has met.
                tar.members = []  # type: ignore[attr-defined]
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        raise BadImage(f"a layer of it cannot be unpacked: {error}") from error


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name or len(name) > PATH_CHARS_MAX:
        raise BadImage(f"an entry of it is called {name[:200]!r}")
    return parts


def _mode(mode: int) -> int:
    rights = mode & 0o777
    return rights | (rights & 0o700) >> 3


def main(told: dict[str, Any]) -> dict[str, Any]:
    """Unpack `told["digest"]` of the layout `told["source"]` into the folder `told["root"]`."""
    layout = Layout(Path(told["source"]))
    if told["uid"] is not None:
        # Nothing of the machine is in sight of the names in an image, not even by mistake.
        os.chroot(told["root"])
    os.umask(0o002)
    limits = {"RLIMIT_AS": MEMORY_BYTES_MAX, "RLIMIT_CPU": CPU_S_MAX, "RLIMIT_CORE": 0}
    spawn.give_up_rights({"uid": told["uid"], "gid": told["gid"], "limits": limits})
    spawn.die_with(told["keeper"])
    root = Path("/") if told["uid"] is not None else Path(told["root"])
    try:
        return unpack(layout, told["digest"], root)
    except BadImage as bad:
        return {"problem": str(bad)}
