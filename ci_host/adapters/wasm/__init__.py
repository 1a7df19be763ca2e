"""The sandbox: a guest image built with componentize-py, run by wasmtime.

`config` (one engine configuration for all), `image` (build, compile, cache), `wasi` (what the guest
may ask of the host), `instance` (the Guest and GuestImage of `ci_host.tenant.guest`).
"""
