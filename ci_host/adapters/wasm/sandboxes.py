"""WasmSandboxes: today's guest image, and older ones as Runs that began on them need them.

Implements Sandboxes. An older image is opened from the cache when a Run asks for it, and kept.
"""

import threading
from pathlib import Path

from ci_host.adapters.wasm.image import ImageUnavailable, Progress
from ci_host.adapters.wasm.instance import WasmImage
from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import Sandbox, WrongImage


class WasmSandboxes:
    """One a process. Raises ImageUnavailable when it is made."""

    def __init__(self, cache: Path, limits: Limits, on_progress: Progress) -> None:
        self._cache, self._limits, self._on_progress = cache, limits, on_progress
        image = WasmImage(cache, limits, on_progress)
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[WasmImage, TenantHost]] = {
            image.digest: (image, TenantHost(image, limits))
        }
        self._current = image.digest

    @property
    def current(self) -> Sandbox:
        return self._opened[self._current][1]

    def of_image(self, image: str) -> Sandbox:
        with self._lock:
            if image not in self._opened:
                try:
                    older = WasmImage(self._cache, self._limits, self._on_progress, digest=image)
                except ImageUnavailable as error:
                    raise WrongImage(
                        f"the run began on guest image {image[:12]}, which is not in"
                        f" {self._cache} any more ({error}); put its file back, or start the run"
                        " anew"
                    ) from error
                self._opened[image] = (older, TenantHost(older, self._limits))
            return self._opened[image][1]

    def close(self) -> None:
        """Close what waits; Tenants are closed by their owners before."""
        for image, sandbox in self._opened.values():
            sandbox.close()
            image.close()
