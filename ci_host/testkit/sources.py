"""Sources: the pipeline files of a directory, as a Bundle. Nothing else of it is read."""

from pathlib import Path

from ci_host.testkit.errors import BrokenPipeline
from pipelines.bundle import FOLDER, SINGLE, TEXT_SUFFIXES, Bundle


def repository_of(path: Path) -> tuple[Path, str]:
    """(repository, file in it) of a pipeline file, sought from here upwards if it is relative.

    Raises BrokenPipeline.
    """
    for above in [Path.cwd(), *Path.cwd().parents]:
        found = (above / path).resolve()
        if found.is_file():
            break
    else:
        raise BrokenPipeline(
            f"there is no {path} in {Path.cwd()} nor above it; name the pipeline's file as the"
            f' repository has it, such as "{FOLDER}/pipeline.py"'
        )
    if found.name == SINGLE:
        return found.parent, SINGLE
    if found.parent.name == FOLDER:
        return found.parent.parent, f"{FOLDER}/{found.name}"
    raise BrokenPipeline(f"{path} is no pipeline: those are {SINGLE}, or directly in {FOLDER}/")


def bundle_in(directory: Path) -> Bundle:
    """What an engine would read of it at a commit. Raises OSError, UnicodeDecodeError."""
    folder, single = directory / FOLDER, directory / SINGLE
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in TEXT_SUFFIXES)
    if not folder.is_dir():
        paths = [single] if single.is_file() else []
    return Bundle(files={p.relative_to(directory).as_posix(): p.read_text("utf-8") for p in paths})
