"""Refusals: what a plan is told where it tries what it cannot do."""

TESTING = "staunch.testing"


def refuse_sleep(seconds: float) -> None:
    """In place of time.sleep."""
    raise RuntimeError(
        f"time.sleep({seconds!r}) cannot wait in a plan; use: await step.sleep('name', '10s')"
    )


def refuse_network(*_: object, **__: object) -> None:
    """In place of what makes a socket."""
    raise PermissionError("a plan has no network; put this into a step.job")


def refuse_input(prompt: object = "") -> str:
    """In place of input."""
    raise RuntimeError("nobody can type into a plan; use: await step.gate('name', inputs={…})")


def refuse_testing() -> None:
    """In place of the test kit, which is not in the sandbox."""
    raise ImportError(
        f"{TESTING} is for tests and is not in the sandbox of a pipeline: import it in a test"
        " file outside of .staunch/",
        name=TESTING,
    )
