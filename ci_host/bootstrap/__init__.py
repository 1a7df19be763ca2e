"""Composition roots: one module a kind of process, the only places that know every adapter."""
