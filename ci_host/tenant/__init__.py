"""Tenants: a Bundle in a sandbox of its own, for one Run, within limits.

`sandbox` is the port the engine sees; `guest` the port that a kind of sandbox fills in; `host`
joins them; `native` is the in-process kind, for tests and simulation only.
"""
