"""What runs inside the sandbox: the driver that moves a tenant's `run(event, step)`.

Shipped into the guest image together with the SDK, and stands alone: nothing of the rest of Staunch
is imported, so that a Run replays on the image it began with. All but `app` also runs natively, for
tests. The contract is docs/abi.md; the wire forms are those of `pipelines/*.py`, tied by tests.
"""
