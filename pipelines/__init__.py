"""What a pipeline is: the shared language of every other folder.

Pure: no I/O, no clock, no dice, no event loop. `sdk/` and `guest/` travel into the sandbox and
stand alone there; `docs/abi.md` is the contract between them and the rest.
"""
