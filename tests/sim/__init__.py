"""Simulation: the real engine over ports in memory, on a virtual clock, in seeded bad weather."""
