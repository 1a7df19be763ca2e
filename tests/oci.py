"""Small OCI layouts, made of the programs of this machine and of whatever a test wants in them."""

import gzip
import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
PROGRAMS = (
    *("sh", "bash", "env", "base64", "cat", "sleep", "mkdir", "basename", "git", "seq", "nohup"),
    *("setsid", "head", "ls", "touch", "rm", "grep", "tr", "id", "printf", "test", "true", "false"),
    *("stat", "wc", "ln", "dd", "chmod", "python3", "kill", "tail", "date", "uname", "mv", "cp"),
)


def entry(name: str, content: bytes | None = None, **more) -> tuple[tarfile.TarInfo, bytes | None]:
    """One entry of a layer: a file, unless `type` says otherwise."""
    info = tarfile.TarInfo(name)
    info.mode = more.pop("mode", 0o755)
    for field, value in more.items():
        setattr(info, field, value)
    info.size = len(content or b"") if info.isreg() else 0
    return info, content


def folder(name: str) -> tuple[tarfile.TarInfo, None]:
    return entry(name, type=tarfile.DIRTYPE)[0], None


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, None]:
    return entry(name, type=kind, linkname=target)[0], None


def layer(*entries) -> bytes:
    """The tar of a layer."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content) if content is not None else None)
    return written.getvalue()


class Maker:
    """Writes a layout into a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.entries: list[dict] = []

    def blob(self, content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        (self.path / "blobs" / "sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    def image(
        self, *layers: bytes, tag: str = "latest", env=(), zipped: bool = False, **config
    ) -> str:
        """Add an image, and answer the digest of its manifest. `config`: `Cmd=[…]` and others."""
        kind = LAYER + ("+gzip" if zipped else "")
        packed = [gzip.compress(one, 1) if zipped else one for one in layers]
        said = {"Env": list(env), **config}
        config = {"architecture": MACHINE, "os": "linux", "config": said}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(config).encode()),
            "layers": [{"mediaType": kind, **self.blob(one)} for one in packed],
        }
        made = self.blob(json.dumps(manifest).encode())
        names = {"org.opencontainers.image.ref.name": tag}
        self.entries.append({"mediaType": MANIFEST, "annotations": names, **made})
        index = {"schemaVersion": 2, "manifests": self.entries}
        (self.path / "index.json").write_text(json.dumps(index))
        return made["digest"]


def programs() -> bytes:
    """A layer with what the executors' tests need of a system, copied from this one."""
    entries, seen = [folder("usr"), folder("usr/bin"), folder("etc"), folder("tmp")], set()
    entries += [link("bin", "usr/bin")]
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found is None:
            continue
        _with_libraries(Path(found), f"usr/bin/{name}", entries, seen)
    _with_python(entries, seen)
    return layer(*entries)


def copied(*programs: Path | str, trees=()) -> bytes:
    """A layer with programs of this machine, what they are linked with, and whole folders."""
    entries, seen = [], set()
    for program in map(Path, programs):
        _with_libraries(program, str(program).lstrip("/"), entries, seen)
    for path in (one for tree in trees for one in sorted(Path(tree).rglob("*"))):
        if path.is_file():
            _with_libraries(path, str(path).lstrip("/"), entries, seen)
    return layer(*entries)


def _with_libraries(path: Path, inside: str, entries: list, seen: set) -> None:
    if inside in seen:
        return
    seen.add(inside)
    entries.append(entry(inside, path.resolve().read_bytes()))
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
    for word in listed.split():
        library = Path(word)
        if word.startswith("/") and word not in seen and library.is_file():
            seen.add(word)
            entries.append(entry(word.lstrip("/"), library.resolve().read_bytes()))


def _with_python(entries: list, seen: set) -> None:
    found = Path("/usr/bin/python3")
    if not found.exists():
        return
    library = Path("/usr/lib") / found.resolve().name
    for path in sorted(library.rglob("*")):
        inside = str(path).lstrip("/")
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            if "test" in path.parts or path.stat().st_size > 2_000_000:
                continue
            entries.append(entry(inside, path.read_bytes()))
            if path.suffix == ".so":
                _with_libraries(path, inside + "#", entries, seen)
                entries[:] = [one for one in entries if not one[0].name.endswith("#")]
