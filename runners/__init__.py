"""Where Jobs run: an agent takes them, one shim process keeps each, an executor confines it.

Public: nothing to import. Other folders meet this one on the bus and through
`python -m runners doctor --json`; it imports `pipelines` and never the host.
"""

__all__: list[str] = []
