"""Peers: other durable engines under the same workloads on the same machine, for `PEERS=1`.

Each runs from an environment of its own, made in `.peers/` the first time, and knows nothing of us.
`place` installs, `engines` starts and stops them, `compare` makes the figures.
"""
