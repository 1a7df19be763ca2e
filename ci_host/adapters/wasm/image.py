"""The guest image: built once by componentize-py, compiled once by wasmtime, both kept on disk.

A compiled guest is native code that we will run: the cache directory must be private, and is
refused if others may write to it. Files appear by rename and are never rewritten, because running
instances have them mapped. Two processes that want the same file wait for each other.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pipelines
from ci_host.adapters.wasm import config

if TYPE_CHECKING:
    import wasmtime

Progress = Callable[[str], None]

BUILD_TIMEOUT_S = 600
OUTPUT_SHOWN_CHARS = 4_000
# The authors' test kit drives a guest, and needs what is outside of one.
NOT_IN_THE_SANDBOX = frozenset({"testing.py"})


class ImageUnavailable(Exception):
    """The guest image could not be built, compiled or kept; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """A built image. `digest` names the wasm, which is what a Run is pinned to."""

    digest: str
    wasm: Path
    compiled: Path


def provide(cache: Path, engine: "wasmtime.Engine", on_progress: Progress) -> ImageFiles:
    """The image of the guest sources of this installation; builds what is missing.

    Takes half a minute the first time, milliseconds later. Raises ImageUnavailable.
    """
    _make_private(cache)
    pointer = cache / f"sources-{_sources_digest()}.digest"
    with _alone(pointer):
        if not pointer.exists() or not _wasm(cache, pointer.read_text()).exists():
            on_progress("building the guest image (once, about 20 s)")
            content = _build(cache)
            digest = hashlib.sha256(content).hexdigest()
            _put(_wasm(cache, digest), content)
            _put(pointer, digest.encode())
    return of_digest(cache, pointer.read_text(), engine, on_progress)


def is_provided(cache: Path) -> bool:
    """Whether `provide` has nothing to build or compile. Cheap: no wasmtime, no large file."""
    pointer = cache / f"sources-{_sources_digest()}.digest"
    try:
        digest = pointer.read_text()
    except OSError:
        return False
    return _wasm(cache, digest).exists() and _compiled(cache, digest).exists()


def of_digest(
    cache: Path, digest: str, engine: "wasmtime.Engine", on_progress: Progress
) -> ImageFiles:
    """An image that was built before: a Run replays on the one it began with.

    Builds are not reproducible, so a digest can be copied and never built again. Raises
    ImageUnavailable where the cache has not got it.
    """
    _make_private(cache)
    wasm = _wasm(cache, digest)
    if not wasm.exists():
        raise ImageUnavailable(
            f"the guest image {digest[:16]}… is not in {cache}; copy {wasm.name} there from a host"
            " that has it: the runs that began on it need it"
        )
    return ImageFiles(digest, wasm, compiled(cache, wasm, digest, engine, on_progress))


def _wasm(cache: Path, digest: str) -> Path:
    return cache / f"guest-{digest}.wasm"


def compiled(
    cache: Path, wasm: Path, digest: str, engine: "wasmtime.Engine", on_progress: Progress
) -> Path:
    """The machine code for a wasm: bound to it, to wasmtime, its configuration and this machine."""
    target = _compiled(cache, digest)
    with _alone(target):
        if not target.exists():
            on_progress("compiling the guest image (once, about 10 s)")
            _put(target, _compile(wasm, engine))
    return target


def _compile(wasm: Path, engine: "wasmtime.Engine") -> bytes:
    import wasmtime
    from wasmtime import component

    try:
        return bytes(component.Component.from_file(engine, str(wasm)).serialize())
    except wasmtime.WasmtimeError as error:
        raise ImageUnavailable(
            f"{wasm} cannot be compiled: {error}; delete it, and it is built again"
        ) from error


def _compiled(cache: Path, digest: str) -> Path:
    bound_to = hashlib.sha256(f"{digest} {config.fingerprint()}".encode()).hexdigest()
    return cache / f"guest-{digest[:16]}-{bound_to[:16]}.cwasm"


def _build(cache: Path) -> bytes:
    """Run componentize-py in a process of its own, on a copy of the guest sources alone."""
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        stage = Path(folder)
        _stage(stage)
        output = stage / "guest.wasm"
        command = [
            sys.executable,
            "-c",
            "import sys, componentize_py; sys.exit(componentize_py.script())",
            *("-q", "-d", str(stage / "pipeline.wit"), "-w", "pipeline"),
            *("componentize", "app", "-p", str(stage), "-o", str(output)),
        ]
        # With a VIRTUAL_ENV it would freeze our own site-packages in.
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
                command,
                cwd=stage,
                env=environment,
                capture_output=True,
                text=True,
                timeout=BUILD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ImageUnavailable(f"building the guest took over {BUILD_TIMEOUT_S} s") from error
        if done.returncode != 0 or not output.exists():
            shown = (done.stdout + done.stderr)[-OUTPUT_SHOWN_CHARS:]
            raise ImageUnavailable(f"componentize-py failed with {done.returncode}:\n{shown}")
        return output.read_bytes()


def _stage(stage: Path) -> None:
    for source, relative in _sources():
        target = stage / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    # Only guest/ of the package travels: its neighbours need what is not in a sandbox.
    (stage / "pipelines" / "__init__.py").write_text('"""Holds the guest."""\n')
    for name in ("app.py", "pipeline.wit"):
        shutil.move(stage / "pipelines" / "guest" / name, stage / name)


def _sources() -> list[tuple[Path, str]]:
    """Every file of the guest, with its place in the image, in a fixed order."""
    guest = Path(pipelines.__path__[0]) / "guest"
    found = [(path, f"pipelines/guest/{path.name}") for path in guest.iterdir() if _is_ours(path)]
    sdk = _sdk()
    found += [
        (path, f"staunch/{path.relative_to(sdk)}") for path in sdk.rglob("*") if _is_ours(path)
    ]
    return sorted(found, key=lambda one: one[1])


def _sdk() -> Path:
    """The authors' package: beside us in the repository, a package of its own when installed."""
    beside = Path(pipelines.__path__[0]) / "sdk" / "staunch"
    if beside.is_dir():
        return beside
    spec = importlib.util.find_spec("staunch")
    if spec is None or not spec.submodule_search_locations:
        raise ImageUnavailable("the package `staunch` is not installed; install staunch-ci again")
    return Path(spec.submodule_search_locations[0])


def _is_ours(path: Path) -> bool:
    return path.suffix in (".py", ".wit") and path.name not in NOT_IN_THE_SANDBOX


def _sources_digest() -> str:
    version = importlib.metadata.version("componentize-py")
    digest = hashlib.sha256(f"componentize-py {version}\n".encode())
    for path, relative in _sources():
        content = path.read_bytes()
        digest.update(f"{relative} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def _make_private(cache: Path) -> None:
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = cache.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise ImageUnavailable(
            f"{cache} holds machine code that will be run, but others may write to it;"
            f" do: chmod 700 {cache}, or choose another directory"
        )


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Nobody else is making this file meanwhile."""
    with target.with_suffix(target.suffix + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _put(target: Path, content: bytes) -> None:
    """Make the file appear whole, or not at all."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
