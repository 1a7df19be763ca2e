"""Image: the in-process guest as a test has it, with a clock of the Run's and a script."""

from ci_host.tenant.guest import Guest
from ci_host.tenant.native import NativeGuest, NativeImage
from ci_host.testkit.script import Script
from ci_host.testkit.surroundings import SandboxLike
from pipelines.bundle import Bundle
from pipelines.guest.loading import module_name


class RehearsalImage(NativeImage):
    """See `guest.GuestImage`."""

    def __init__(self, script: Script, bundle: Bundle) -> None:
        self._script = script
        self._modules = frozenset(
            module_name(path).partition(".")[0] for path in bundle.files if path.endswith(".py")
        )

    def boot(self) -> Guest:
        """A guest in this process, with surroundings of its own."""
        return NativeGuest(self._lock, SandboxLike(self._modules), self._script)
