"""A month of a Forge that loses, delays, repeats and refuses, and of what we make of it.

The real webhook routes, intake, triggers, reconciler, engine and status delivery, on a virtual
clock, over stores in memory; the Forge is seeded. `make forge-month SEED=s`.
"""
