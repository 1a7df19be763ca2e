"""The main job, acted out on real parts: what `make demo` runs. Its verdicts are its exit code."""
