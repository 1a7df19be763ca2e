"""The engine's ports in memory, for tests and simulation: same contracts, same suites."""
