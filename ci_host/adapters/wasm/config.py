"""The one wasmtime configuration. A compiled guest only loads into an engine made from the same.

wasmtime is imported where it is used: who only asks whether the image is there need not load it.
"""

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wasmtime

# What the compiled form depends on, besides the versions; change it with `engine`.
DESCRIPTION = "epoch,opt=speed,stack=1048576"

# Well below the 8 MiB stack of a sandbox thread, so that the guest's overflow traps before ours.
WASM_STACK_BYTES = 1024 * 1024


def engine() -> "wasmtime.Engine":
    """A new engine; one a process is enough."""
    import wasmtime

    config = wasmtime.Config()
    config.wasm_component_model = True
    config.epoch_interruption = True
    config.cranelift_opt_level = "speed"
    config.max_wasm_stack = WASM_STACK_BYTES
    return wasmtime.Engine(config)


def fingerprint() -> str:
    """What a compiled guest is bound to: library, configuration, machine."""
    machine = f"{platform.machine()} {_processor()}"
    return f"wasmtime {version('wasmtime')}; {DESCRIPTION}; {machine}"


def _processor() -> str:
    # Cranelift uses what the processor has, so another model may not run what this one compiled.
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(("flags", "Features")):
                    return line.strip()
    except OSError:
        return ""
    return ""
